"""The result of a reconstruction, collected stage by stage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from axon_backend import DISCLAIMER, __version__
from axon_backend.bundle import Bundle
from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.frame import HuWindow, ThoraxFrame, resample_to_frame
from axon_backend.imaging.matching import local_contrast, shrink_by
from axon_backend.imaging.radiograph import Radiograph
from axon_backend.inference.case import PlacedCase
from axon_backend.inference.model_loading import atlas_ct
from axon_backend.methods.protocol import Method
from axon_backend.metrics import compute_metrics
from axon_backend.physics.attenuation import AttenuationVolume
from axon_backend.physics.drr import render_drr
from axon_backend.registration.place import PlacedView
from axon_backend.registration.similarity import ncc

REPROJECTION_SIZE = 256


@dataclass(frozen=True)
class Reconstruction:
    """Result of :func:`axon_backend.inference.reconstruct.reconstruct`.

    Attributes:
        volumes: float32 HU ``[z, y, x]`` in the thorax frame by stage, in the order of the
            method's stages; with several samples, their mean.
        deviation: standard deviation of the samples in HU by stage; empty for one sample.
        frame: the box that the volumes fill, LPS millimetres.
        views: the registered views by role (``frontal``, ``lateral``).
        samples: float32 HU ``(samples, z, y, x)`` of the last stage; None for one sample.
        truth: if a CT was given, its float32 HU in the frame by stage, moved by the pose if any.
        xrays: the X-rays as read, by role; views rendered from the CT have none.
        record: the content of ``result.json``.
    """

    volumes: dict[str, np.ndarray]
    deviation: dict[str, np.ndarray]
    frame: ThoraxFrame
    views: dict[str, PlacedView]
    truth: dict[str, np.ndarray]
    xrays: dict[str, Radiograph]
    record: dict = field(repr=False)
    samples: np.ndarray | None = field(default=None, repr=False)

    @property
    def final_stage(self) -> str:
        """The last stage that ran."""
        return list(self.volumes)[-1]

    @property
    def cancelled(self) -> str | None:
        """The stage in which the run was cancelled; None if it is complete."""
        return self.record["cancelled"]

    @property
    def volume(self) -> np.ndarray:
        """The last stage's volume, HU ``[z, y, x]``."""
        return self.volumes[self.final_stage]


class ResultBuilder:
    """Collects finished stages; can build a :class:`Reconstruction` from them at any time.

    Args:
        placed: the case that is reconstructed.
        window: HU window that is mapped to [-1, 1].
        bundle: the bundle, whose atlas is measured for comparison.
    """

    def __init__(self, placed: PlacedCase, window: HuWindow, bundle: Bundle) -> None:
        self._placed, self._window, self._bundle = placed, window, bundle
        self.volumes: dict[str, np.ndarray] = {}
        self._deviation: dict[str, np.ndarray] = {}
        self._samples: np.ndarray | None = None
        self._truth: dict[str, np.ndarray] = {}
        self._metrics: dict[str, dict[str, float]] = {}
        self._atlas: dict[str, float] | None = None

    def add(self, stage: str, samples: list[torch.Tensor]) -> np.ndarray:
        """Add the samples of a stage, each (1, 1, n, n, n) in normalised HU on the CPU, and
        measure their mean against the CT if there is one.

        Returns:
            The mean in HU ``[z, y, x]``.
        """
        window, ct = self._window, self._placed.case.ct
        stack = torch.stack([s[0, 0] for s in samples])
        volume = window.to_hu(stack.mean(0)).numpy().astype(np.float32)
        if len(samples) > 1:
            half = 0.5 * (window.high - window.low)
            self._deviation[stage] = (stack.std(0) * half).numpy().astype(np.float32)
            self._samples = window.to_hu(stack).numpy().astype(np.float32)
        if ct is not None:
            truth = next((t for t in self._truth.values() if t.shape == volume.shape), None)
            if truth is None:
                truth = resample_to_frame(
                    ct, self._placed.frame, volume.shape[0], self._placed.ct_motion
                )
            self._truth[stage] = truth
            spacing_mm = self._placed.frame.spacing_mm(volume.shape[0])
            self._metrics[stage] = measure(volume, truth, window, spacing_mm)
            if self._atlas is None:  # on the grid of the first stage
                atlas = atlas_on_grid(atlas_ct(self._bundle), volume.shape[0])
                self._atlas = measure(atlas, truth, window, spacing_mm)
        self.volumes[stage] = volume
        return volume

    def build(self, **about: Any) -> Reconstruction:
        """The result so far; ``about`` is the description of the run from :func:`run_record`."""
        placed, case = self._placed, self._placed.case
        warnings = [*placed.warnings, *about.pop("warnings", ())]
        record = {
            "software": {"axon": __version__, "torch": torch.__version__},
            "disclaimer": DISCLAIMER,
            "inputs": case.describe(placed.views),
            "registration": [
                {**view.as_dict(role), "accepted_by_user": role in placed.accepted}
                for role, view in placed.views.items()
            ],
            "pose": None if placed.pose is None else placed.pose.as_dict(),
            **about,
            "frame": placed.frame.as_dict(),
            "hu_window": [self._window.low, self._window.high],
            "reprojection": reprojection(list(self.volumes.values())[-1], placed),
            "metrics": dict(self._metrics) if self._metrics else None,
            # The baseline that a reconstruction must beat: the mean training volume.
            "atlas_mean": self._atlas,
            "warnings": warnings,
        }
        xrays = {role: xray for role, xray in case.xrays.items() if xray is not None}
        return Reconstruction(
            dict(self.volumes),
            dict(self._deviation),
            placed.frame,
            placed.views,
            dict(self._truth),
            xrays,
            record,
            self._samples,
        )


def run_record(
    bundle: Bundle,
    method: Method,
    config: Any,
    device: torch.device,
    *,
    seed: int,
    samples: int,
    steps: dict[str, int] | None,
    stages: list[str],
    steps_run: dict[str, int],
    seconds: dict[str, float],
    cancelled: str | None,
) -> dict[str, Any]:
    """The part of ``result.json`` that describes how the stages were run. ``steps_run`` is the
    number of steps per sample, ``cancelled`` the stage in which the user stopped the run."""
    counts = method.default_steps(config) | (steps or {})
    return {
        "method": method.info.name,
        "bundle": {"name": bundle.name, "version": bundle.version, "sha256": bundle.sha256},
        "recommended_stage": bundle.recommended_stage,
        "device": str(device),
        "seed": seed,
        "samples": samples,
        "stages": [
            {
                "name": s,
                "steps": counts[s],
                # More than "steps" where the volume is the mean of several runs.
                "steps_run": steps_run[s],
                "seconds": round(seconds[s], 2),
            }
            for s in stages
        ],
        "seconds": {k: round(v, 2) for k, v in seconds.items()},
        "cancelled": cancelled,
    }


def reprojection(volume: np.ndarray, placed: PlacedCase) -> dict[str, float]:
    """NCC of each view with the DRR of a volume in HU ``[z, y, x]``, after local contrast
    normalisation."""
    size, attenuation = REPROJECTION_SIZE, AttenuationVolume.in_frame(volume, placed.frame)
    out = {}
    for role, view in placed.views.items():
        drr = render_drr(attenuation, placed.exposure(role), size).numpy()
        shrink = view.pixels.shape[0] // size
        xray = shrink_by(view.pixels, shrink)
        # Only rays that cross the volume, and pixels that the X-ray covers.
        valid = view.valid[::shrink, ::shrink] & (drr > 0)
        out[role] = round(ncc(local_contrast(drr, valid), local_contrast(xray, valid), valid), 4)
    return out


def atlas_on_grid(atlas: CTVolume, n: int) -> np.ndarray:
    """The atlas, which fills its frame, resampled to ``n^3`` voxels if it has another size; HU."""
    if atlas.hu.shape == (n, n, n):
        return atlas.hu
    return resample_to_frame(atlas, ThoraxFrame((0.0, 0.0, 0.0), atlas.size_mm), n)


def measure(
    volume: np.ndarray,
    truth: np.ndarray,
    window: HuWindow,
    spacing_mm: tuple[float, float, float],
) -> dict[str, float]:
    """All registered metrics of a volume against the true CT, both in HU ``[z, y, x]``. They are
    clipped to the window and mapped to [0, 1]."""

    def unit(hu: np.ndarray) -> np.ndarray:
        return (window.normalise(hu) + 1) / 2

    bounds = (window.low, window.high)
    return compute_metrics(unit(volume), unit(truth), bounds, spacing_mm=spacing_mm)
