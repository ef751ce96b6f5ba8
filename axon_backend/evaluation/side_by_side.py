"""Compare two volumes of a patient on one grid: difference and metrics."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from axon_backend.imaging.frame import AIR_HU, HuWindow
from axon_backend.imaging.write import place_image
from axon_backend.inference.result import measure


def compare_volumes(
    volume: np.ndarray,
    ijk_to_lps: np.ndarray,
    other: np.ndarray,
    other_to_lps: np.ndarray,
    window: HuWindow | None = None,
) -> tuple[np.ndarray, dict[str, float]]:
    """Compare a volume with another one, which is taken as the truth.

    Args:
        volume, other: HU ``[k, j, i]``.
        ijk_to_lps, other_to_lps: (4, 4), (i, j, k, 1) to LPS millimetres, with orthogonal axes.
        window: HU window to which metrics clip; None: the default window.

    Returns:
        ``volume - other`` in HU, float32 on the grid of ``volume``, and the registered metrics.
    """
    window = window or HuWindow()
    moved = resampled(other, other_to_lps, volume.shape, ijk_to_lps)
    x, y, z = (float(mm) for mm in np.linalg.norm(np.asarray(ijk_to_lps)[:3, :3], axis=0))
    metrics = measure(volume.astype(np.float32), moved, window, (x, y, z))
    return volume.astype(np.float32) - moved, metrics


def resampled(
    volume: np.ndarray, ijk_to_lps: np.ndarray, shape: tuple[int, ...], target_to_lps: np.ndarray
) -> np.ndarray:
    """A volume on another grid, float32 ``[k, j, i]``: trilinear, air outside; unchanged if the
    grids are equal."""
    if tuple(volume.shape) == tuple(shape) and np.allclose(ijk_to_lps, target_to_lps, atol=1e-6):
        return volume.astype(np.float32)
    target = sitk.Image([int(n) for n in shape[::-1]], sitk.sitkFloat32)
    place_image(target, target_to_lps)
    source = sitk.GetImageFromArray(np.ascontiguousarray(volume, np.float32))
    place_image(source, ijk_to_lps)
    found = sitk.Resample(
        source, target, sitk.Transform(), sitk.sitkLinear, AIR_HU, sitk.sitkFloat32
    )
    return sitk.GetArrayFromImage(found)
