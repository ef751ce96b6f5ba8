"""The public call: X-rays in, a CT volume out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch

from axon_backend import DISCLAIMER, __version__
from axon_backend.bundle import Bundle, load_bundle
from axon_backend.errors import AxonInputError, Cancelled
from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.frame import HuWindow, ThoraxFrame, resample_to_frame
from axon_backend.imaging.radiograph import Radiograph
from axon_backend.imaging.view import View
from axon_backend.methods.axon import STAGES, Axon
from axon_backend.methods.protocol import Progress
from axon_backend.model import choose_device, forget_models, load_model
from axon_backend.physics.attenuation import hu_to_mu
from axon_backend.physics.drr import render
from axon_backend.physics.geometry import AcquisitionGeometry
from axon_backend.prepare import PathLike, network_views, place_case, read_case
from axon_backend.registration.place import PlacedView
from axon_backend.registration.quality import local_contrast, ncc

REPROJECTION_SIZE = 256


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

    def tell(stage: str, step: int, total: int, preview: torch.Tensor | None = None) -> None:
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
    case = read_case(frontal, lateral, ct, frontal_view=frontal_view, render_lateral=render_lateral)
    seconds["read"] = time.perf_counter() - began
    tell("read", 2, 2)

    began = time.perf_counter()
    views, frame, notes = place_case(
        case, bundle, tell, device=torch_device, register=register, seed=seed
    )
    warnings += notes
    seconds["register"] = time.perf_counter() - began

    inputs = network_views(views, frame)
    sums: dict[str, list[torch.Tensor]] = {s: [] for s in stages}
    while True:
        try:
            for k in range(samples):
                label = f" ({k + 1} of {samples})" if samples > 1 else ""
                out = model.reconstruct(
                    inputs,
                    stages=stages,
                    steps=steps,
                    seed=seed + k,
                    progress=partial(_labelled, tell, label),
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
            model.cpu()  # this name still holds it
            forget_models()
            torch_device = torch.device("cpu")
            model = load_model(bundle, torch_device)
            sums = {s: [] for s in stages}
            seconds = {k: v for k, v in seconds.items() if k not in stages}

    window = model.config.window
    half = 0.5 * (window.high - window.low)
    volumes: dict[str, np.ndarray] = {}
    deviation: dict[str, np.ndarray] = {}
    truth: dict[str, np.ndarray] = {}
    for s, found in sums.items():
        stack = torch.stack(found)
        volumes[s] = window.to_hu(stack.mean(0)).numpy().astype(np.float32)
        if samples > 1:
            deviation[s] = (stack.std(0) * half).numpy().astype(np.float32)
        if case.ct is not None:
            truth[s] = resample_to_frame(case.ct, frame, volumes[s].shape[0])
    record = {
        "software": {"axon": __version__, "torch": torch.__version__},
        "disclaimer": DISCLAIMER,
        "inputs": case.describe(views),
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
        "reprojection": _reprojection(volumes[stages[-1]], frame, views),
        "metrics": _metrics(volumes, truth, window) if truth else None,
        "warnings": warnings,
    }
    xrays = {role: xray for role, xray in case.xrays.items() if xray is not None}
    return Reconstruction(volumes, deviation, frame, views, truth, xrays, record)


def _labelled(
    tell: Progress, label: str, stage: str, step: int, total: int, preview: torch.Tensor | None
) -> None:
    tell(stage + label, step, total, preview)


def _steps(model: Axon, stage: str, steps: dict[str, int] | None) -> int:
    default = {
        "coarse": model.config.sampling.coarse_steps,
        "fine": model.config.sampling.fine_steps,
        "sr": 1,
    }
    return (steps or {}).get(stage, default[stage])


def _reprojection(
    volume: np.ndarray, frame: ThoraxFrame, views: dict[str, PlacedView]
) -> dict[str, float]:
    """NCC of each input view with the DRR of the result, after local contrast normalisation."""
    n, size = volume.shape[0], REPROJECTION_SIZE
    mu = hu_to_mu(torch.as_tensor(volume))
    out = {}
    for role, placed in views.items():
        geometry = AcquisitionGeometry.of_frame(frame, placed.view)
        made = render(mu, frame.origin_mm(n), frame.spacing_mm(n), [geometry], size)[0].numpy()
        shrink = placed.pixels.shape[0] // size
        seen = placed.pixels.reshape(size, shrink, size, shrink).mean((1, 3))
        # Only where the ray runs through the volume, and where the X-ray shows something.
        valid = placed.valid[::shrink, ::shrink] & (made > 0)
        out[role] = round(ncc(local_contrast(made, valid), local_contrast(seen, valid), valid), 4)
    return out


def _metrics(
    volumes: dict[str, np.ndarray], truth: dict[str, np.ndarray], window: HuWindow
) -> dict[str, dict[str, float]]:
    from axon_backend.evaluation.metrics import all_metrics

    def unit(hu: np.ndarray) -> np.ndarray:
        return (window.normalise(hu) + 1) / 2

    limits = (window.low, window.high)
    return {s: all_metrics(unit(volumes[s]), unit(truth[s]), limits) for s in volumes}
