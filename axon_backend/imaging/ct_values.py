"""Check that voxel values are Hounsfield units: accepted, repaired with a note, or refused."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from axon_backend.errors import AxonInputError
from axon_backend.imaging.grid import AIR_HU

# Values this far below air are padding outside the scanner's circle, not tissue.
_PADDING_BELOW = -1100.0
_LEAST_AIR, _LEAST_SOFT = 0.005, 0.03  # shares of a chest's voxels
# Offsets that remain in stored values if the rescale tags are lost: the usual one, and that of
# wide-range reconstructions.
_INTERCEPTS = (1024.0, 8192.0)
# HU; if the corners of a volume share one value above this, it is padding, not tissue.
_BRIGHT = -500.0


def to_hounsfield(voxels: np.ndarray, label: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Voxels as float32 HU >= -1024, with notes on what was assumed.

    Padding below air becomes -1024, and so does bright padding that reaches the volume's corners.
    If soft tissue is near 1064 (or 8232) instead of 40 and there is no air, the rescale intercept
    was lost and is restored. Raises `AxonInputError` for NaN, 8-bit, normalised or constant values.
    """
    voxels = np.asarray(voxels, dtype=np.float32)
    low, high = float(voxels.min()), float(voxels.max())
    if not (np.isfinite(low) and np.isfinite(high)):  # NaN spreads to both
        count = int((~np.isfinite(voxels)).sum())
        raise AxonInputError(
            f"{label} holds {count} voxels that are not numbers (NaN or infinite), HU are finite. "
            f"Replace them with {AIR_HU:.0f} (air) and try again."
        )
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
    lost = _lost_intercept(voxels, low)
    if lost:
        voxels = voxels - lost
        low -= lost
        notes += (
            f"the file's values are HU plus {lost:.0f}: its rescale intercept is taken as "
            f"-{lost:.0f}",
        )
    if low < _PADDING_BELOW:
        notes += ("values below air (padding outside the scan circle) were set to -1024 HU",)
    voxels = np.maximum(voxels, AIR_HU)
    padded = _bright_padding(voxels)
    if padded is not None:
        notes += (
            f"{padded[1]:g} HU around the scan is padding, not tissue: it was set to -1024 HU",
        )
        voxels[padded[0]] = AIR_HU
    air, soft = _shares(voxels[::2, ::2, ::2])
    if air < _LEAST_AIR or soft < _LEAST_SOFT:
        raise AxonInputError(
            f"{found}, with {air:.0%} air and {soft:.0%} soft tissue: it is not a chest CT in HU. "
            "Check that it is a CT (not MR or PET) and that its rescale slope and intercept were "
            "applied."
        )
    return voxels, notes


def _shares(sample: np.ndarray) -> tuple[float, float]:
    """Shares of air and of soft tissue among values in HU."""
    return float((sample < -500).mean()), float(((sample > -200) & (sample < 300)).mean())


def _lost_intercept(voxels: np.ndarray, low: float) -> float:
    """The offset to subtract if the rescale intercept was lost, else 0.

    In unsigned storage, the only negative values are then padding: a single value, or few voxels.
    """
    sample = voxels[::2, ::2, ::2].ravel()
    inside = sample[sample != low] if low < -10 else sample
    if inside.size == 0 or (low < -10 and float((inside < -150).mean()) >= _LEAST_AIR):
        return 0.0  # there is air
    for offset in _INTERCEPTS:
        air, soft = _shares(inside - offset)
        if air >= _LEAST_AIR and soft >= _LEAST_SOFT:
            return offset
    return _INTERCEPTS[0] if low >= -10 else 0.0  # the check of the shares then decides


def _bright_padding(hu: np.ndarray) -> tuple[np.ndarray, float] | None:
    """Mask and value of padding other than air: a value in at least half of the volume's eight
    corners, and the voxels with it that are connected to them; None if there is none."""
    corners = hu[np.ix_(*[(0, -1)] * 3)].ravel()
    values, counts = np.unique(corners, return_counts=True)
    value = float(values[counts.argmax()])
    if value < _BRIGHT or counts.max() < 4:
        return None
    parts, _ = ndimage.label(hu == value)
    at = np.unique(parts[np.ix_(*[(0, -1)] * 3)])
    return np.isin(parts, at[at > 0]), value
