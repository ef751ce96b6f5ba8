"""Segment lungs and bone by thresholds; measure their volumes and overlap with another CT."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from axon_backend.evaluation.side_by_side import resampled
from axon_backend.imaging.frame import HuWindow
from axon_backend.metrics.anatomy import dice, structure_mask

STRUCTURES = ("lungs", "bone")


@dataclass(frozen=True)
class Structure:
    """A structure of a volume and of the volume that it is compared with.

    Attributes:
        mask, other: bool ``[k, j, i]`` on the grid of the volume; `other` may be None.
        ml, other_ml: their volumes in millilitres.
        dice: their Dice overlap; None without `other`, NaN if both are empty.
    """

    mask: np.ndarray
    ml: float
    other: np.ndarray | None = None
    other_ml: float | None = None
    dice: float | None = None


def segment(
    volume: np.ndarray,
    ijk_to_lps: np.ndarray,
    other: np.ndarray | None = None,
    other_to_lps: np.ndarray | None = None,
    window: HuWindow | None = None,
) -> dict[str, Structure]:
    """Segment lungs and bone, see ``metrics.anatomy.structure_mask``.

    Args:
        volume, other: HU ``[k, j, i]``, [z, y, x] up to a rotation.
        ijk_to_lps, other_to_lps: (4, 4), (i, j, k, 1) to LPS millimetres.
        window: HU window to which both are clipped; None: the default window.

    Returns:
        The structures by their names in :data:`STRUCTURES`.
    """
    window = window or HuWindow()
    bounds = (window.low, window.high)
    voxel_ml = abs(float(np.linalg.det(np.asarray(ijk_to_lps)[:3, :3]))) / 1000.0
    unit = _unit(volume, window)
    unit_other = None
    if other is not None and other_to_lps is not None:
        moved = resampled(other, other_to_lps, volume.shape, ijk_to_lps)
        unit_other = _unit(moved, window)
    found = {}
    for name in STRUCTURES:
        mask = structure_mask(unit, bounds, name)
        ml = float(mask.sum()) * voxel_ml
        if unit_other is None:
            found[name] = Structure(mask, ml)
            continue
        second = structure_mask(unit_other, bounds, name)
        found[name] = Structure(
            mask, ml, second, float(second.sum()) * voxel_ml, dice(mask, second)
        )
    return found


def _unit(hu: np.ndarray, window: HuWindow) -> NDArray[np.float32]:
    """HU to [0, 1] over the window."""
    return ((window.normalise(np.asarray(hu, np.float32)) + 1) / 2).astype(np.float32)
