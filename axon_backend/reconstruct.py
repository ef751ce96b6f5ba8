"""The public call: X-rays in, a CT volume out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from axon_backend import DISCLAIMER, __version__
from axon_backend.bundle import Bundle, load_bundle
from axon_backend.errors import AxonInputError, Cancelled
from axon_backend.imaging.ct import CTVolume, read_ct
from axon_backend.imaging.frame import (
    ThoraxFrame,
    find_thorax_frame,
    resample_to_frame,
)
from axon_backend.imaging.radiograph import Radiograph, read_radiograph
from axon_backend.imaging.standardise import standardise_view
from axon_backend.imaging.view import View
from axon_backend.methods.axon import STAGES, Axon, AxonConfig
from axon_backend.methods.protocol import Progress, RegisteredViews
from axon_backend.physics.drr import render_view
from axon_backend.physics.geometry import DEFAULT_SOD_MM, beam_parameter
from axon_backend.registration.place import PlacedView, place_view

VIEW_SIZE = 1024
PathLike = str | Path


@dataclass(frozen=True)
class Reconstruction:
    """What :func:`reconstruct` returns.

    Attributes:
        volumes: float32 HU ``[z, y, x]`` in the thorax frame by stage (``coarse``, ``fine``,
            ``sr``); the mean over the samples when there are several.
        deviation: standard deviation in HU by stage; empty for one sample.
        frame: the box that the volumes fill, LPS millimetres.
        views: the registered views as the network saw them, by role (``frontal``, ``lateral``).
        truth: float32 HU in the frame by stage, when a CT was given.
        xrays: the X-rays as they were read, by role; a view rendered from the CT has none.
        record: everything that ``result.json`` holds.
    """

    volumes: dict[str, np.ndarray]
    deviation: dict[str, np.ndarray]
    frame: ThoraxFrame
    views: dict[str, PlacedView]
    truth: dict[str, np.ndarray]
    xrays: dict[str, Radiograph]
    record: dict = field(repr=False)

    @property
    def final_stage(self) -> str:
        """The last stage that ran."""
        return list(self.volumes)[-1]

    @property
    def volume(self) -> np.ndarray:
        """The last stage's volume, HU ``[z, y, x]``."""
        return self.volumes[self.final_stage]


def choose_device(name: str = "auto") -> torch.device:
    """``auto`` is the GPU where there is one, else the CPU.

    Raises:
        AxonInputError: a device that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise AxonInputError(
            "Device 'cuda' was asked for, but PyTorch sees no NVIDIA GPU here. Use --device auto "
            "or cpu, or install a CUDA build of PyTorch."
        )
    if name not in ("cpu", "cuda"):
        raise AxonInputError(f"The device {name!r} is not known; it is one of auto, cpu, cuda.")
    return torch.device(name)


@lru_cache(maxsize=2)
def _model(path: str, sha256: str, device: str) -> Axon:
    bundle = load_bundle(path)
    values = {k: v for k, v in bundle.config.items() if k not in ("format_version",)}
    model = Axon(AxonConfig.from_dict(values))
    for part in Axon.PARTS:
        getattr(model, part).load_state_dict(bundle.state_dict(part))
    return model.eval().requires_grad_(False).to(device)


def load_model(bundle: Bundle, device: torch.device | str = "cpu") -> Axon:
    """The networks of a bundle on a device, ready to run; kept for the next call."""
    return _model(str(bundle.path), bundle.sha256, str(device))


def atlas_ct(bundle: Bundle) -> CTVolume:
    """The bundle's atlas (mean of the training volumes) as a CT whose frame is centred at 0."""
    hu, size_mm = bundle.atlas()
    n = hu.shape[0]
    frame = ThoraxFrame((0.0, 0.0, 0.0), size_mm)
    return CTVolume(
        hu=hu, spacing_mm=frame.spacing_mm(n), origin_mm=frame.origin_mm(n), source="atlas"
    )


def _as_radiograph(value: PathLike | Radiograph | None, view: View | None) -> Radiograph | None:
    if value is None or isinstance(value, Radiograph):
        return value
    return read_radiograph(value, view=view)


def _check_roles(frontal: Radiograph | None, lateral: Radiograph | None) -> None:
    if frontal is not None and not frontal.view.is_frontal:
        raise AxonInputError(
            f"{frontal.source} is a lateral X-ray ({frontal.view.value}), a frontal (PA or AP) one "
            "is needed as --frontal. Give the lateral one as --lateral."
        )
    if lateral is not None and lateral.view.is_frontal:
        raise AxonInputError(
            f"{lateral.source} is a frontal X-ray ({lateral.view.value}), a lateral one is needed "
            "as --lateral."
        )


def reconstruct(
    frontal: PathLike | Radiograph | None,
    lateral: PathLike | Radiograph | None = None,
    *,
    ct: PathLike | CTVolume | None = None,
    bundle: PathLike | Bundle | None = None,
    stages: tuple[str, ...] = STAGES,
    steps: dict[str, int] | None = None,
    seed: int = 0,
    samples: int = 1,
    device: str = "auto",
    register: bool = True,
    frontal_view: View | None = None,
    render_lateral: bool = False,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Reconstruction:
    """Reconstruct a chest CT from one or two X-rays.

    Args:
        frontal: PA or AP X-ray, a file or a :class:`Radiograph`; None renders the PA DRR of ``ct``.
        lateral: lateral X-ray, or None for a single view.
        ct: the same patient's CT, used as the registration's reference and as ground truth.
        bundle: the model; None is the shipped one.
        stages: which of ``coarse``, ``fine``, ``sr`` to run; a later one needs ``coarse``.
        steps: sampling steps by stage, for example ``{"coarse": 10, "fine": 15}``.
        seed: of all noise; the same seed gives the same volume on one machine.
        samples: K; the volumes are means over seeds ``seed .. seed + K - 1``, with deviations.
        device: ``auto``, ``cpu`` or ``cuda``.
        register: align the X-rays to the DRR of the CT or of the atlas; False takes the picture
            as already being in the frame.
        frontal_view: overrules the file's own statement (PA or AP).
        render_lateral: without a lateral X-ray, use the lateral DRR of ``ct`` (evaluation).
        progress: called as ``progress(stage, step, total, preview)``; stages also ``read`` and
            ``register``.
        cancelled: asked before every step; True stops with :class:`Cancelled`.

    Returns:
        The volumes in HU and everything known about how they came to be.

    Raises:
        AxonInputError: the input cannot be used; the message says why.
        Cancelled: ``cancelled()`` was true.
    """
    unknown = [s for s in stages if s not in STAGES]
    if unknown or "coarse" not in stages:
        raise AxonInputError(
            f"The stages {','.join(stages) or '(none)'} cannot be run: give coarse, then "
            "optionally fine and sr, separated by commas."
        )
    if samples < 1:
        raise AxonInputError(f"At least one sample is needed, {samples} were asked for.")
    if any(count < 1 for count in (steps or {}).values()):
        raise AxonInputError(f"Every stage needs at least one step, got {steps}.")
    stages = tuple(s for s in STAGES if s in stages)

    def tell(stage: str, step: int, total: int, preview=None) -> None:
        if cancelled is not None and cancelled():
            raise Cancelled(f"stopped in stage {stage} before step {step} of {total}")
        if progress is not None:
            progress(stage, step, total, preview)

    seconds: dict[str, float] = {}
    warnings: list[str] = []
    torch_device = choose_device(device)
    began = time.perf_counter()
    tell("read", 0, 2)
    if not isinstance(bundle, Bundle):
        bundle = load_bundle(bundle)
    model = load_model(bundle, torch_device)
    truth_ct = read_ct(ct) if isinstance(ct, str | Path) else ct
    front = _as_radiograph(frontal, frontal_view)
    side = _as_radiograph(lateral, None if lateral is None else _lateral_view(lateral))
    if front is None and truth_ct is None:
        raise AxonInputError("Neither a frontal X-ray nor a CT was given; one of them is needed.")
    _check_roles(front, side)
    reference = truth_ct if truth_ct is not None else atlas_ct(bundle)
    if truth_ct is not None:
        frame = find_thorax_frame(truth_ct)
    else:
        frame = ThoraxFrame((0.0, 0.0, 0.0), bundle.atlas()[1])
    seconds["read"] = time.perf_counter() - began
    tell("read", 2, 2)

    began = time.perf_counter()
    wanted = {"frontal": front}
    if side is not None or (render_lateral and truth_ct is not None):
        wanted["lateral"] = side
    views: dict[str, PlacedView] = {}
    for number, (role, xray) in enumerate(wanted.items()):
        tell("register", number, len(wanted))
        default = View.pa if role == "frontal" else View.lateral_left
        view = xray.view if xray is not None else default
        if xray is None:
            picture = render_view(truth_ct, frame, view, VIEW_SIZE, device=torch_device)
            views[role] = PlacedView.of_drr(picture, view)
        else:
            views[role] = place_view(
                xray, reference, frame, size=VIEW_SIZE, register=register,
                stretch=truth_ct is None, seed=seed,
            )
        warnings += [f"{role}: {w}" for w in views[role].warnings]
    tell("register", len(wanted), len(wanted))
    if truth_ct is None:
        frame, note = _frame_from_views(frame, views)
        if note:
            warnings.append(note)
    seconds["register"] = time.perf_counter() - began

    inputs = _network_views(views, frame)
    sums: dict[str, list[torch.Tensor]] = {s: [] for s in stages}
    while True:
        try:
            for k in range(samples):
                label = f" ({k + 1} of {samples})" if samples > 1 else ""
                out = model.reconstruct(
                    inputs, stages=stages, steps=steps, seed=seed + k,
                    progress=lambda s, i, n, p, label=label: tell(s + label, i, n, p),
                )
                for s in stages:
                    sums[s].append(out.volumes[s].float().cpu()[0, 0])
                    seconds[s] = seconds.get(s, 0.0) + out.seconds[s]
            break
        except torch.OutOfMemoryError:
            if torch_device.type == "cpu":
                raise
            warnings.append("the GPU ran out of memory: the reconstruction was done on the CPU")
            tell("moving to the CPU: the GPU ran out of memory", 0, 1)
            model.cpu()
            torch.cuda.empty_cache()
            _model.cache_clear()
            torch_device = torch.device("cpu")
            model = load_model(bundle, torch_device)
            sums = {s: [] for s in stages}
            seconds = {k: v for k, v in seconds.items() if k not in stages}

    window = model.config.window
    half = 0.5 * (window.high - window.low)
    volumes, deviation, truth = {}, {}, {}
    for s, found in sums.items():
        stack = torch.stack(found)
        volumes[s] = window.to_hu(stack.mean(0)).numpy().astype(np.float32)
        if samples > 1:
            deviation[s] = (stack.std(0) * half).numpy().astype(np.float32)
        if truth_ct is not None:
            truth[s] = resample_to_frame(truth_ct, frame, volumes[s].shape[0])
    record = {
        "software": {"axon": __version__, "torch": torch.__version__},
        "disclaimer": DISCLAIMER,
        "inputs": _describe_inputs(wanted, truth_ct, views),
        "registration": [v.as_dict(role) for role, v in views.items()],
        "bundle": {"name": bundle.name, "version": bundle.version, "sha256": bundle.sha256},
        "device": str(torch_device),
        "seed": seed,
        "samples": samples,
        "stages": [
            {"name": s, "steps": _steps(model, s, steps), "seconds": round(seconds[s], 2)}
            for s in stages
        ],
        "seconds": {k: round(v, 2) for k, v in seconds.items()},
        "frame": frame.as_dict(),
        "hu_window": [window.low, window.high],
        "metrics": _metrics(volumes, truth, window) if truth else None,
        "warnings": warnings,
    }
    xrays = {role: xray for role, xray in wanted.items() if xray is not None}
    return Reconstruction(volumes, deviation, frame, views, truth, xrays, record)


def _lateral_view(lateral: PathLike | Radiograph) -> View | None:
    """Files without tags given as the lateral X-ray are left laterals; DICOM speaks for itself."""
    if isinstance(lateral, Radiograph):
        return None
    try:
        found = read_radiograph(lateral)
    except AxonInputError:
        return View.lateral_left  # read again with the view: it may be the view that was missing
    stated = not any("view is not stated" in a for a in found.assumptions)
    return None if stated else View.lateral_left


def _frame_from_views(
    atlas: ThoraxFrame, views: dict[str, PlacedView]
) -> tuple[ThoraxFrame, str | None]:
    """The frame's size in millimetres from the X-rays' pixel sizes, else the atlas's."""
    x, y, z = atlas.size_mm
    front, side = views["frontal"].size_mm, None
    if "lateral" in views:
        side = views["lateral"].size_mm
    if front is None and side is None:
        return atlas, (
            "no X-ray carries a pixel size: the volume's millimetres are those of the atlas "
            "(an average chest)"
        )
    heights = [s[1] for s in (front, side) if s is not None]
    height = sum(heights) / len(heights)
    width = front[0] if front is not None else x * height / z
    depth = side[0] if side is not None else y * (width / x * height / z) ** 0.5
    note = None
    if side is None:
        note = "no lateral X-ray: the depth in millimetres follows the average chest"
    return ThoraxFrame((0.0, 0.0, 0.0), (width, depth, height)), note


def _network_views(views: dict[str, PlacedView], frame: ThoraxFrame) -> RegisteredViews:
    """Standardised pictures and beam parameters, (1, 1, S, S) and (1, 2)."""
    pictures, beam = {}, []
    for role, axis, default in (("frontal", 1, View.pa), ("lateral", 0, View.lateral_left)):
        placed = views.get(role)
        view = placed.view if placed is not None else default
        beam.append(beam_parameter(frame.size_mm[axis], DEFAULT_SOD_MM, view))
        if placed is not None:
            pictures[role] = standardise_view(
                torch.as_tensor(placed.pixels)[None, None],
                torch.as_tensor(placed.valid)[None, None],
            )
    return RegisteredViews(pictures["frontal"], pictures.get("lateral"), torch.tensor([beam]))


def _steps(model: Axon, stage: str, steps: dict[str, int] | None) -> int:
    default = {
        "coarse": model.config.sampling.coarse_steps,
        "fine": model.config.sampling.fine_steps,
        "sr": 1,
    }
    return (steps or {}).get(stage, default[stage])


def _describe_inputs(wanted, truth_ct, views) -> list[dict]:
    rows = []
    for role, xray in wanted.items():
        rows.append(
            {
                "role": role,
                "path": str(xray.source) if xray is not None else "DRR of the CT",
                "view": views[role].view.value,
                "pixel_mm": xray.pixel_mm if xray is not None else None,
                "assumptions": list(xray.assumptions) if xray is not None else [],
            }
        )
    if truth_ct is not None:
        rows.append(
            {
                "role": "ct",
                "path": str(truth_ct.source),
                "assumptions": list(truth_ct.assumptions),
            }
        )
    return rows


def _metrics(volumes, truth, window) -> dict[str, dict[str, float]]:
    from axon_backend.evaluation.metrics import all_metrics

    unit = lambda hu: (window.normalise(hu) + 1) / 2  # noqa: E731
    limits = (window.low, window.high)
    return {s: all_metrics(unit(volumes[s]), unit(truth[s]), limits) for s in volumes}
