"""Samples of a validation case at a step: volumes and an overview image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch.nn.functional as F

from axon_backend.evaluation.figures import WIDE, FlatImage, VolumeRow, Window, write_overview
from axon_backend.imaging.frame import HuWindow
from axon_backend.imaging.write import write_volume
from axon_backend.methods.batch import ValidationCase
from axon_backend.methods.objective import Measurement

IMAGE_SIDE = 512


def write_sample(
    folder: Path,
    step: int,
    stage: str,
    case: ValidationCase,
    measured: Measurement,
    window: HuWindow,
) -> dict[str, str]:
    """Write the reconstruction and the truth (NIfTI, HU, in the case's frame) and an image.

    Returns:
        {"prediction": path, "truth": path, "image": path}.

    Raises:
        AxonInputError: a file could not be written.
    """
    here = folder / f"step_{step:08d}"
    here.mkdir(parents=True, exist_ok=True)
    assert measured.sample is not None
    prediction = window.to_hu(measured.sample.float().cpu().numpy())
    n = prediction.shape[0]
    batch = case.batch
    same = batch.fine if batch.fine.shape[-1] == n else batch.volume
    truth = window.to_hu(same[0, 0].float().cpu().numpy())
    files = {
        "prediction": here / f"{case.name}_{stage}.nii.gz",
        "truth": folder / f"{case.name}_truth_{n}.nii.gz",
        "image": here / f"{case.name}_{stage}.png",
    }
    write_volume(files["prediction"], prediction, case.frame, f"{stage}, step {step}")
    if not files["truth"].exists():
        write_volume(files["truth"], truth, case.frame, "validation case")
    images = []
    for role, view, across in (("frontal", batch.frontal, 0), ("lateral", batch.lateral, 1)):
        kind = "X-ray" if role in case.real else "DRR"
        pixels = F.adaptive_avg_pool2d(view.float(), IMAGE_SIDE)[0, 0].cpu().numpy()
        mm = (case.frame.size_mm[2], case.frame.size_mm[across])
        pixel_mm = (mm[0] / IMAGE_SIDE, mm[1] / IMAGE_SIDE)
        title = f"{role.capitalize()} {kind}"
        images.append(FlatImage(title, pixels, role == "frontal", pixel_mm))
    spacing = case.frame.spacing_mm(n)
    note = f" ({measured.note})" if measured.note else ""
    rows = [
        VolumeRow(f"{stage}, step {step}{note}", prediction.astype(np.float32), spacing),
        VolumeRow(f"{case.name}, true CT", truth.astype(np.float32), spacing),
    ]
    shown = WIDE if window.low <= WIDE.low else Window("bundle's", window.low, window.high)
    words = ", ".join(
        f"{k} {v:.3g}" for k, v in measured.metrics.items() if k.endswith(("psnr", "loss"))
    )
    footer = f"{stage}, step {step}  |  {words}" if words else f"{stage}, step {step}"
    write_overview(files["image"], images, rows, footer, windows=(shown,))
    return {k: str(v) for k, v in files.items()}
