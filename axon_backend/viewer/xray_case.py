"""X-rays on their way to a volume: what was assumed, where they lie over the DRR, the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from axon_backend.errors import AxonInputError, Cancelled
from axon_backend.evaluation.case_images import overlay_images
from axon_backend.evaluation.case_output import case_files, write_case, write_xrays
from axon_backend.imaging.frame import ThoraxFrame, find_thorax_frame
from axon_backend.imaging.write import write_volume
from axon_backend.inference.case_files import CaseInputs
from axon_backend.inference.model_loading import atlas_ct
from axon_backend.inference.result import Reconstruction
from axon_backend.inference.session import InferenceSession
from axon_backend.physics.pose import Pose
from axon_backend.registration import register
from axon_backend.registration.overlay import STYLES, overlay_image
from axon_backend.registration.place import PlacedView, place_by_matrix
from axon_backend.registration.resample import resample_image
from axon_backend.util.output_folder import output_folder
from axon_backend.util.run_context import Progress, RunContext
from axon_backend.viewer.settings import Motion, RunSettings

# Side of the registered views that are shown and judged; the networks' are made by the run.
SIZE = 256


@dataclass(frozen=True)
class Placed:
    """Where an X-ray lies.

    Attributes:
        base: the view before ``motion``, with the DRR it lies on.
        motion: by hand, since then.
        confirmed: it was registered or moved; else the run registers it.
    """

    base: PlacedView
    motion: Motion = Motion()
    confirmed: bool = False


class XrayCase:
    """One or two X-rays of a patient, with the CT or the atlas that they are registered to.

    Every method may be called from a worker thread, one at a time.

    Args:
        case: the images, with a frontal X-ray.
        session: the model.

    Raises:
        AxonInputError: the CT cannot be used.
    """

    def __init__(self, case: CaseInputs, session: InferenceSession) -> None:
        self.case, self.session = case, session
        self.xrays = {role: xray for role, xray in case.xrays.items() if xray is not None}
        sources = [xray.source for xray in self.xrays.values()]
        self.files = tuple(sources if case.ct is None else [*sources, case.ct.source])
        if self.case.ct is not None:
            self.reference, self.frame = self.case.ct, find_thorax_frame(self.case.ct)
        else:
            self.reference = atlas_ct(session.bundle)
            self.frame = ThoraxFrame((0.0, 0.0, 0.0), session.bundle.atlas()[1])
        start = register(self.xrays, self.reference, self.frame, method="none", size=SIZE)
        self._start = {role: Placed(view) for role, view in start.views.items()}
        self.placed = dict(self._start)

    @property
    def styles(self) -> tuple[str, ...]:
        """Of the overlay."""
        return STYLES

    @property
    def roles(self) -> tuple[str, ...]:
        """The X-rays, frontal first."""
        return tuple(self.xrays)

    @property
    def inputs(self) -> list[dict]:
        """As ``inputs`` of ``result.json``."""
        return self.case.describe({role: placed.base for role, placed in self.placed.items()})

    def register(self, *, seed: int = 0, cancelled: Callable[[], bool] | None = None) -> None:
        """Register every X-ray in the plane; motions by hand are dropped.

        Raises:
            AxonInputError: an image does not look like a chest X-ray, or cannot be registered.
            Cancelled: ``cancelled()`` was true; everything stays where it was.
        """
        found = register(
            self.xrays, self.reference, self.frame, size=SIZE, seed=seed, cancelled=cancelled
        )
        self.placed = {role: Placed(view, confirmed=True) for role, view in found.views.items()}

    def reset(self, role: str) -> None:
        """Back to how the X-ray lay when it was read."""
        self.placed[role] = self._start[role]

    def move(self, role: str, motion: Motion) -> None:
        """Move an X-ray from where it was registered (or read)."""
        placed = self.placed[role]
        if motion != placed.motion:
            self.placed[role] = replace(placed, motion=motion, confirmed=True)

    def matrix(self, role: str) -> np.ndarray:
        """(3, 3) placement: canonical view in [0, 1]^2 -> pixels (column, row) of the X-ray."""
        placed = self.placed[role]
        assert placed.base.registration is not None
        found: np.ndarray = placed.base.registration.matrix @ np.linalg.inv(
            placed.motion.matrix(self.extent_mm(role))
        )
        return found

    def extent_mm(self, role: str) -> tuple[float, float]:
        """Width and height of the field of view."""
        return Pose().geometry(self.frame, self.placed[role].base.view).extent_mm

    def overlay(self, role: str, style: str) -> np.ndarray:
        """(512, 512, 3) uint8, the X-ray where it lies now over the DRR; see ``overlay_image``."""
        base = self.placed[role].base
        xray = self.xrays[role]
        pixels, valid = resample_image(xray.pixels, self.matrix(role), SIZE, valid=xray.valid)
        return overlay_image(replace(base, pixels=pixels, valid=valid), style)

    def judge(self, role: str) -> PlacedView:
        """The X-ray where it lies now, with the quality of its registration."""
        placed = self.placed[role]
        if placed.motion == Motion():
            return placed.base
        matrix = self.matrix(role)
        return place_by_matrix(self.xrays[role], self.reference, self.frame, matrix, size=SIZE)

    def reconstruct(
        self,
        settings: RunSettings,
        *,
        allow_poor: bool = False,
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Reconstruction:
        """The volume, from the X-rays as they lie.

        Args:
            settings: of the run.
            allow_poor: continue where a registration is poor.
            progress, cancelled: see ``inference.reconstruct``.

        Raises:
            AxonInputError: a registration is poor, or the input cannot be used.
            Cancelled: ``cancelled()`` was true before the last stage was done.
        """
        confirmed = [role for role in self.roles if self.placed[role].confirmed]
        for role in confirmed:
            registration = self.judge(role).registration
            if registration is not None and registration.quality.refused and not allow_poor:
                raise AxonInputError(
                    f"The registration of the {role} X-ray is poor. Move it until it fits the DRR, "
                    "or tick 'Use a poor registration'."
                )
        result = self.session.reconstruct(
            self.xrays["frontal"],
            self.xrays.get("lateral"),
            ct=self.case.ct,
            stages=settings.stages,
            steps=settings.steps,
            samples=settings.samples,
            allow_poor=allow_poor,
            placements={role: self.matrix(role) for role in confirmed},
            context=RunContext(settings.seed, progress=progress, cancelled=cancelled),
        )
        if result.cancelled:
            raise Cancelled(f"stopped in stage {result.cancelled}")
        return result

    def keep(self, result: Reconstruction, folder: Path) -> Path:
        """Write a result without its report into a new folder, to be shown; beside the files of
        ``axon reconstruct``, ``ct.nii.gz`` is the CT on the grid of the last stage."""
        folder.mkdir()
        write_case(folder, result, keep_stages=True, keep_samples=True, report=False)
        write_xrays(folder, result, overlay_images(result.views))
        if result.final_stage in result.truth:
            write_volume(folder / "ct.nii.gz", result.truth[result.final_stage], result.frame)
        return folder

    def save(self, result: Reconstruction, folder: str | Path) -> Path:
        """Write a result as ``axon reconstruct`` does, into a new or empty folder.

        Raises:
            AxonInputError: the folder holds files or cannot be written.
        """
        with output_folder(folder, case_files(), False, self.files) as new:
            write_case(new, result, keep_stages=True, keep_samples=True)
        return Path(folder)
