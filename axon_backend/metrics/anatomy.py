"""Segmentation of lungs and bone by thresholds and connectivity, and metrics of their agreement.

No network is involved, so nothing depends on training data. The disadvantage is that contrast agent
in large vessels counts as bone, and the trachea as lung.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from axon_backend.metrics.pair import BODY_HU, Region, VolumePair, body_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

#: Voxels inside the body above this value are bone.
BONE_HU = 200.0
#: Components smaller than this fraction of the volume are left out.
SMALLEST = {"lungs": 0.005, "bone": 2e-5}


def structure_mask(
    volume: NDArray[np.float32], window_hu: tuple[float, float], structure: str
) -> Mask:
    """The lungs (enclosed air) or the bone of a volume.

    Args:
        volume: ``[z, y, x]`` in [0, 1] after the HU window.
        window_hu: the HU values of 0 and 1.
        structure: ``lungs``: voxels inside the body at or below :data:`BODY_HU`; ``bone``: those
            above :data:`BONE_HU`. Components below :data:`SMALLEST` are left out.

    Returns:
        bool ``[z, y, x]``; all False if the window does not contain the threshold.
    """
    low, high = window_hu
    threshold = {"lungs": BODY_HU, "bone": BONE_HU}[structure]
    if not low < threshold < high:
        return np.zeros(volume.shape, bool)
    level = (threshold - low) / (high - low)
    found = volume <= level if structure == "lungs" else volume > level
    found &= body_mask(volume, window_hu)
    labels, _ = ndimage.label(found)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return (sizes >= max(1.0, SMALLEST[structure] * volume.size))[labels]


def dice(a: Mask, b: Mask) -> float:
    """Dice coefficient, 2 |A and B| / (|A| + |B|); NaN if both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 2.0 * int((a & b).sum()) / total if total else math.nan


def assd(a: Mask, b: Mask, spacing_mm: tuple[float, float, float]) -> float:
    """Average symmetric surface distance in mm: the mean, over the surface voxels of both masks, of
    the distance to the nearest surface voxel of the other mask.

    A surface voxel has a face neighbour outside its mask. Where the border of the volume cuts a
    structure, there is no surface.

    Args:
        a, b: masks ``[z, y, x]``.
        spacing_mm: voxel size (x, y, z).

    Returns:
        The distance; NaN if either mask has no surface.
    """
    from scipy.spatial import cKDTree

    def surface(mask: Mask) -> NDArray[np.float64]:
        edge = mask & ~ndimage.binary_erosion(mask, border_value=1)
        return np.argwhere(edge) * np.asarray(spacing_mm[::-1])

    one, other = surface(a), surface(b)
    if not len(one) or not len(other):
        return math.nan
    there, _ = cKDTree(other).query(one)
    back, _ = cKDTree(one).query(other)
    return float(np.concatenate([there, back]).mean())


def _masks(pair: VolumePair, structure: str) -> tuple[Mask, Mask]:
    """The masks of prediction and truth, computed once per pair."""
    if structure not in pair.structures:
        pair.structures[structure] = (
            structure_mask(pair.prediction, pair.window_hu, structure),
            structure_mask(pair.truth, pair.window_hu, structure),
        )
    return pair.structures[structure]


def dice_of(structure: str, pair: VolumePair, region: Region) -> float:
    """Dice coefficient of a structure; NaN if the truth does not show it."""
    prediction, truth = _masks(pair, structure)
    return dice(prediction, truth) if truth.any() else math.nan


def assd_of(structure: str, pair: VolumePair, region: Region) -> float:
    """Surface distance in mm; NaN if either lacks the structure or the spacing is unknown."""
    if pair.spacing_mm is None:
        return math.nan
    return assd(*_masks(pair, structure), pair.spacing_mm)


def volume_error_of(structure: str, pair: VolumePair, region: Region) -> float:
    """|V - V_truth| / V_truth of a structure; NaN if the truth does not show it."""
    prediction, truth = _masks(pair, structure)
    true_volume = int(truth.sum())
    return abs(int(prediction.sum()) - true_volume) / true_volume if true_volume else math.nan
