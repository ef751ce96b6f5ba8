"""The projection test: evaluate reconstructions of patients without a CT by their lateral X-ray.

The volume reconstructed from the frontal image is projected along x and compared with the patient's
own lateral image, which was not an input, and with those of all other patients. The grey scale of
archived images is arbitrary, so local contrast is compared. A frontal image does not determine the
extent of the frame along its beam; therefore the best agreement over a grid of depths and shifts is
used, for the own lateral image and the others alike. The rank of the own image does not depend on a
scale: 50 % is chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from axon_backend.imaging.matching import local_contrast
from axon_backend.physics.geometry import FIELD_OF_VIEW
from axon_backend.registration.similarity import gradient_ncc

SIDE = 64
DEPTHS_MM = np.linspace(170.0, 290.0, 9)
SHIFTS_MM = np.linspace(-40.0, 40.0, 17)
#: Smallest fraction of the frame that a cut of a lateral image must show to be compared.
LEAST_SHOWN = 2 / 3


def side_view(hu: np.ndarray) -> np.ndarray:
    """Project a volume in HU ``[z, y, x]`` along x: mean attenuation, (SIDE, SIDE) float32, row 0
    at the top, column 0 at the front of the patient."""
    mean = torch.as_tensor((hu + 1000.0).mean(2)[::-1].copy(), dtype=torch.float32)
    return F.adaptive_avg_pool2d(mean[None], SIDE)[0].numpy()


@dataclass(frozen=True)
class LateralCuts:
    """A lateral image, cropped to the frame for each of the K depths and shifts.

    Attributes:
        images: (K, SIDE, SIDE), row 0 at the top, column 0 at the front of the patient.
        weights: (K, SIDE, SIDE), 0 outside the image.
        vectors: (K, SIDE * SIDE) local contrast with zero mean and unit length, in half precision;
            0 if less than :data:`LEAST_SHOWN` of the frame is shown.
    """

    images: torch.Tensor
    weights: torch.Tensor
    vectors: torch.Tensor


def cut_lateral(
    image: np.ndarray, rows: tuple[float, float], pixel_mm: float, middle: float | None = None
) -> LateralCuts:
    """Crop a lateral image for every depth and shift.

    Args:
        image: (H, W), bones bright, column 0 at the front of the patient.
        rows: row of the centre of the canonical view, and the number of rows that it spans.
        pixel_mm: width of a pixel in the patient.
        middle: column of the patient's centre; None: the centre of the bright part of the image.
    """
    pixels = torch.as_tensor(image).float()
    height, width = pixels.shape
    at = (torch.arange(SIDE) + 0.5) / SIDE - 0.5  # over the frame
    down = rows[0] + rows[1] * at / FIELD_OF_VIEW
    if middle is None:
        limit = pixels.min() + 0.25 * (pixels.max() - pixels.min())
        body = ((pixels > limit).float().mean(0) > 0.3).nonzero().flatten().float()
        middle = float(body[0] + body[-1]) / 2 if len(body) else (width - 1) / 2
    grids = []
    for depth in DEPTHS_MM:
        for shift in SHIFTS_MM:
            across = middle + (shift + depth * at) / pixel_mm
            y, x = (2 * down + 1) / height - 1, (2 * across + 1) / width - 1
            grids.append(torch.stack(torch.meshgrid(x, y, indexing="xy"), -1))
    grid = torch.stack(grids).float()
    smooth = F.avg_pool2d(pixels[None, None], 3, 1, 1, count_include_pad=False)
    images = F.grid_sample(
        smooth.expand(len(grid), -1, -1, -1), grid, align_corners=False, padding_mode="border"
    )[:, 0]
    weights = (grid.abs() < 1).all(-1).float()
    vectors = torch.stack([_unit(i, w) for i, w in zip(images, weights, strict=True)])
    vectors[weights.mean((1, 2)) < LEAST_SHOWN] = 0
    return LateralCuts(images, weights, vectors.half())


def canonical_rows(placement: np.ndarray) -> tuple[float, float]:
    """The row of the centre of the view and the number of rows that it spans, from a placement
    (3, 3), canonical [0, 1]^2 to (column, row)."""
    middle = placement @ np.array([0.5, 0.5, 1.0])
    return float(middle[1] / middle[2]), float(np.hypot(placement[0, 1], placement[1, 1]))


def projection_scores(
    sides: Sequence[np.ndarray], laterals: Sequence[LateralCuts], patients: Sequence[str]
) -> list[dict[str, float]]:
    """Compare each patient's projection with the own lateral image and those of the others.

    Args:
        sides: :func:`side_view` of the volume of each case.
        laterals: lateral image of each case.
        patients: patient of each case; other images of the same patient are not compared.

    Returns:
        For each case ``projection``, ``projection_gradient``, ``projection_others`` (NaN without
        others) and ``projection_rank`` in percent, with ties counted as half.
    """
    vectors = torch.stack([_unit(torch.as_tensor(side)) for side in sides])
    # [i, j]: the volume of case i against the lateral image of case j
    scores = torch.stack([(cuts.vectors.float() @ vectors.T).amax(0) for cuts in laterals], 1)
    rows = []
    for i, (side, cuts) in enumerate(zip(sides, laterals, strict=True)):
        own = scores[i, i]
        others = scores[i, [j for j, p in enumerate(patients) if p != patients[i]]]
        above = (others > own).float() + 0.5 * (others == own).float()
        best = int((cuts.vectors.float() @ vectors[i]).argmax())
        weight = cuts.weights[best]
        made = local_contrast(torch.as_tensor(side), torch.ones_like(weight)).numpy()
        seen = local_contrast(cuts.images[best], weight).numpy()
        rows.append({
            "projection": float(own),
            "projection_gradient": gradient_ncc(made, seen, weight.numpy() > 0),
            "projection_others": float(others.mean()) if len(others) else float("nan"),
            "projection_rank": float(100 * above.mean()) if len(others) else float("nan"),
        })  # fmt: skip
    return rows


def _unit(image: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    """Local contrast of a (SIDE, SIDE) image as a vector of zero mean and unit length."""
    weight = torch.ones_like(image) if weight is None else weight
    flat = local_contrast(image, weight)
    flat = (flat - (flat * weight).sum() / weight.sum().clamp_min(1)) * weight
    return (flat / flat.norm().clamp_min(1e-6)).flatten()
