"""Training pairs of a data set by number: rendered from deformed CTs, or with real X-rays.

A pair depends only on the data set, the settings and its number. Drawing one costs about as much
as a training step, and all stages use the same pairs, so pairs are cached on disk and shared
between stages and runs; the folder's name is a hash of everything that they depend on.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from axon_backend.dataset.dataset import DatasetCase, DatasetView
from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct import CTVolume, read_ct
from axon_backend.imaging.frame import (
    HuWindow,
    ThoraxFrame,
    find_thorax_frame,
    resample_to_frame,
)
from axon_backend.imaging.view import View
from axon_backend.imaging.volume_file import load_volume
from axon_backend.physics.drr import render_drr
from axon_backend.physics.geometry import DEFAULT_SOD_MM, AcquisitionGeometry, beam_parameter
from axon_backend.training.data.pairs import (
    NOT_DEFORMED,
    DeformableCT,
    Deformation,
    PairFactory,
    TrainingPair,
)
from axon_backend.training.data.shapes import bend_to, shape_of
from axon_backend.util.atomic import whole_file

# Part of the hash; increment it when the same settings would give different pairs.
PAIR_VERSION = 1
VIEWS = {"frontal": View.pa, "lateral": View.lateral_left}


@dataclass(frozen=True)
class PairSettings:
    """Settings that a pair depends on, besides its case and number."""

    fine_size: int
    view_size: int
    window: HuWindow
    deformation: Deformation = field(default_factory=Deformation)
    seed: int = 0


def read_view(view: DatasetView, size: int) -> np.ndarray:
    """Read an image of a data set as (size, size) float32 in [0, 1]."""
    pixels = np.asarray(load_volume(view.file).voxels, np.float32).squeeze()
    if pixels.ndim != 2 or pixels.shape[0] != pixels.shape[1] or not np.isfinite(pixels).all():
        raise AxonInputError(
            f"{view.file}: expected a square image with finite pixel values; found shape "
            f"{pixels.shape}. Prepare this case again."
        )
    image = F.adaptive_avg_pool2d(torch.as_tensor(pixels)[None, None], size)[0, 0]
    low, high = image.min(), image.max()
    return ((image - low) / (high - low).clamp_min(1e-6)).numpy()


def case_views(
    case: DatasetCase, frame: ThoraxFrame, ct: CTVolume, size: int, *, real: bool = True
) -> tuple[list[np.ndarray], list[float], tuple[str, ...]]:
    """The views of a case: real ones where available and if ``real``, else rendered.

    Returns:
        images, (size, size) float32 each, in [0, 1] if real, line integrals if rendered; the beam
        parameter of each; the roles of the real ones. All in the order of ``VIEWS``.
    """
    images, beam, shown = [], [], []
    for role, default in VIEWS.items():
        found = case.real(role) if real else None
        view = default if found is None else found.view
        if found is None:
            geometry = AcquisitionGeometry.of_frame(frame, view)
            images.append(render_drr(ct, geometry, size).numpy())
        else:
            images.append(read_view(found, size))
            shown.append(role)
        depth = frame.size_mm[1 if view.is_frontal else 0]
        beam.append(beam_parameter(depth, DEFAULT_SOD_MM, view))
    return images, beam, tuple(shown)


def real_pair(
    case: DatasetCase, frame: ThoraxFrame, ct: CTVolume, settings: PairSettings
) -> TrainingPair:
    """The unchanged CT with its real X-rays; a missing view is rendered."""
    fine = resample_to_frame(ct, frame, settings.fine_size)
    images, beam, _ = case_views(case, frame, ct, settings.view_size)
    unit = (settings.window.normalise(fine) + 1) * 127.5
    return TrainingPair(
        volume=np.rint(unit).astype(np.uint8),
        views=np.stack(images).astype(np.float16),
        beam=np.asarray(beam, np.float32),
    )


def data_hash(cases: Sequence[DatasetCase]) -> str:
    """SHA-256 over the cases as training sees them: of each CT the hash stated in the data set,
    else a fingerprint of its file or folder; of each real image a fingerprint of its file."""
    total = hashlib.sha256()
    for case in cases:
        parts = [case.id, case.split, case.sha256 or _fingerprint(case.ct), repr(case.frame)]
        if case.reconstructed:
            parts.append("reconstructed")
        for view in case.views:
            if view.kind == "real":
                parts += [view.role, view.view.value, str(view.accepted), _fingerprint(view.file)]
        total.update(json.dumps(parts).encode())
    return total.hexdigest()


def _fingerprint(path: Path) -> str:
    """Size and a hash of both ends of a file, or names and sizes of a folder's files: reading
    gigabytes before each run would be too slow."""
    if path.is_dir():
        return "|".join(f"{p.name}:{p.stat().st_size}" for p in sorted(path.iterdir()))
    try:
        with open(path, "rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(0)
            head = stream.read(1 << 20)
            stream.seek(max(0, size - (1 << 20)))
            return f"{size}:{hashlib.sha256(head + stream.read()).hexdigest()}"
    except OSError as error:
        raise AxonInputError(
            f"{path} could not be read: {error.strerror or error}. Check the data set's folder, "
            "or prepare the data again."
        ) from error


class PairSource:
    """Pairs by number.

    ``cases`` are the patients with a CT, ``pseudo_labelled`` those with a reconstruction in its
    place and two accepted X-rays.

    Args:
        cases: training cases, of both kinds.
        settings: settings of the pairs.
        folder: cache folder for drawn pairs; None disables the cache.
        memory_gb: memory for CTs, in GB.
    """

    def __init__(
        self,
        cases: Sequence[DatasetCase],
        settings: PairSettings,
        *,
        folder: Path | None = None,
        memory_gb: float = 2.0,
    ) -> None:
        self.cases = [case for case in cases if not case.reconstructed]
        self.pseudo_labelled = [
            case
            for case in cases
            if case.reconstructed and case.real("frontal") and case.real("lateral")
        ]
        self.settings, self.folder, self.memory_gb = settings, folder, memory_gb
        self.with_real = [
            i for i, c in enumerate(self.cases) if c.real("frontal") or c.real("lateral")
        ]
        self._chests: OrderedDict[int, DeformableCT] = OrderedDict()
        self._shapes: dict[int, np.ndarray] = {}
        self._factory = PairFactory(
            fine_size=settings.fine_size,
            view_size=settings.view_size,
            window=settings.window,
            deformation=settings.deformation,
        )

    def hash(self) -> str:
        """Hash of everything that the pairs depend on."""
        both = [*self.cases, *self.pseudo_labelled]
        text = json.dumps([PAIR_VERSION, data_hash(both), asdict(self.settings)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def chest(self, index: int) -> DeformableCT:
        """A case's CT, prepared for deformation; the most recently used ones stay in memory."""
        if index in self._chests:
            self._chests.move_to_end(index)
            return self._chests[index]
        case = self.cases[index]
        try:
            chest = DeformableCT(read_ct(case.ct), case.frame)
        except AxonInputError as error:
            raise AxonInputError(f"Case {case.id}: {error}") from error
        self._chests[index] = chest
        while sum(c.megabytes for c in self._chests.values()) > 1000 * self.memory_gb:
            if len(self._chests) == 1:
                break
            self._chests.popitem(last=False)
        return chest

    def rendered(self, number: int) -> TrainingPair:
        """DRRs and volume of a deformed chest; the numbers are shared evenly among the cases."""
        index = number % len(self.cases)
        if self.settings.deformation == NOT_DEFORMED:
            number = index  # cached once per case, not once per number

        def draw() -> TrainingPair:
            rng = np.random.default_rng([self.settings.seed, number])
            return self._factory.draw(self.chest(index), rng, self._bend(index, number))

        return self._kept(f"pair_{number:08d}.npz", draw)

    def pseudo_labelled_pair(self, index: int) -> TrainingPair:
        """The X-rays of ``pseudo_labelled[index]`` with the volume reconstructed from both."""

        def make() -> TrainingPair:
            case = self.pseudo_labelled[index]
            ct, frame = self._volume(case)
            return real_pair(case, frame, ct, self.settings)

        return self._kept(f"pseudo_{index:06d}.npz", make)

    def _bend(self, index: int, number: int) -> torch.Tensor | None:
        """The deformation of case ``index`` to another case's shape, in the share of the pairs that
        the settings ask for."""
        everyone = len(self.cases) + len(self.pseudo_labelled)
        others = everyone - 1
        rng = np.random.default_rng([self.settings.seed, number, 1])
        if not others or rng.random() >= self.settings.deformation.shapes:
            return None
        other = (index + 1 + int(rng.integers(others))) % everyone
        return bend_to(self._shape(index), self._shape(other))

    def _shape(self, index: int) -> np.ndarray:
        if index not in self._shapes:
            if index < len(self.cases):
                chest = self.chest(index)
                ct, frame = chest.ct, chest.frame
            else:
                ct, frame = self._volume(self.pseudo_labelled[index - len(self.cases)])
            self._shapes[index] = shape_of(ct, frame)
        return self._shapes[index]

    @staticmethod
    def _volume(case: DatasetCase) -> tuple[CTVolume, ThoraxFrame]:
        try:
            ct = read_ct(case.ct, force=True)  # it fills its frame, and may cut the shoulders
            return ct, case.frame or find_thorax_frame(ct)
        except AxonInputError as error:
            raise AxonInputError(f"Case {case.id}: {error}") from error

    def real(self, index: int) -> TrainingPair:
        """Case ``index`` with its real X-rays."""

        def make() -> TrainingPair:
            chest = self.chest(index)
            return real_pair(self.cases[index], chest.frame, chest.ct, self.settings)

        return self._kept(f"real_{index:06d}.npz", make)

    def _kept(self, name: str, make: Any) -> TrainingPair:
        if self.folder is None:
            return make()
        path = self.folder / name
        try:
            with np.load(path) as data:
                return TrainingPair(data["volume"], data["views"], data["beam"])
        except OSError:
            pass  # missing or unreadable
        except Exception:  # a damaged file: zip and numpy raise many types
            pass  # replaced below
        pair = make()
        # If the disk is full, the pair is drawn again the next time.
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as temporary, open(temporary, "wb") as stream:
                np.savez(stream, volume=pair.volume, views=pair.views, beam=pair.beam)
        return pair
