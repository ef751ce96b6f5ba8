"""Checking that voxel values are Hounsfield units: accepted, repaired with a note, or refused."""

from __future__ import annotations

import numpy as np

from axon_backend.errors import AxonInputError
from axon_backend.imaging.grid import AIR_HU

# Values this far below air are padding outside the scanner's circle, not tissue.
_PADDING_BELOW = -1100.0
_MISSING_INTERCEPT = 1024.0


def to_hounsfield(voxels: np.ndarray, label: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Voxels as float32 HU >= -1024, with notes on what was assumed.

    Padding below air becomes -1024. Volumes without a negative value but with a range like
    0..4095 lack the rescale intercept: 1024 is subtracted, if soft tissue then falls where
    it should. Raises `AxonInputError` for NaN, 8-bit, normalised or flat values.
    """
    voxels = np.asarray(voxels, dtype=np.float32)
    if not np.isfinite(voxels).all():
        count = int((~np.isfinite(voxels)).sum())
        raise AxonInputError(
            f"{label} holds {count} voxels that are not numbers (NaN or infinite), HU are finite. "
            f"Replace them with {AIR_HU:.0f} (air) and try again."
        )
    low, high = float(voxels.min()), float(voxels.max())
    found = f"{label} holds values from {low:g} to {high:g}"
    if low == high:
        raise AxonInputError(f"{found}: it is blank. Give a chest CT in HU.")
    if high <= 1.5 and low >= -1.5:
        raise AxonInputError(
            f"{found}: it was normalised, HU reach from -1000 (air) to above 1000 (bone). "
            "Give the CT before normalisation."
        )
    if low >= 0 and high <= 255:
        raise AxonInputError(
            f"{found}: it is an 8-bit image of a CT, HU reach from -1000 (air) to above 1000 "
            "(bone). Give the original CT."
        )
    notes: tuple[str, ...] = ()
    if low < _PADDING_BELOW:
        notes += ("values below air (padding outside the scan circle) were set to -1024 HU",)
    elif low >= -10:
        # Unsigned storage whose intercept was lost on the way.
        voxels = voxels - _MISSING_INTERCEPT
        notes += ("the file has no negative values: its rescale intercept is taken as -1024",)
    voxels = np.maximum(voxels, AIR_HU)
    sample = voxels[::2, ::2, ::2]
    air = float((sample < -500).mean())
    soft = float(((sample > -200) & (sample < 300)).mean())
    if air < 0.005 or soft < 0.03:
        raise AxonInputError(
            f"{found}, with {air:.0%} air and {soft:.0%} soft tissue: it is not a chest CT in HU. "
            "Check that it is a CT (not MR or PET) and that its rescale slope and intercept were "
            "applied."
        )
    return voxels, notes
