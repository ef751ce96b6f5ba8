"""Pictures that are compared: shrunk alike, and without their grey scale."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def local_contrast(
    picture: np.ndarray, valid: np.ndarray | None = None, sigma: float | None = None
) -> np.ndarray:
    """(H, W) -> zero local mean and unit local deviation, over a window of deviation ``sigma``
    pixels, by default 1/8 of the width.

    Takes the grey scale, the exposure and slow gradients out of the comparison. Pixels that are
    not ``valid`` do not count and become 0.
    """
    weight = np.ones(picture.shape, np.float32) if valid is None else valid.astype(np.float32)
    sigma = picture.shape[1] / 8 if sigma is None else sigma
    # Two box filters, nearly a Gaussian: their cost does not grow with the width.
    width = 2 * round(0.5 * np.sqrt(6) * sigma) + 1

    def smooth(a: np.ndarray) -> np.ndarray:
        once = ndimage.uniform_filter(a, width, mode="constant")
        return ndimage.uniform_filter(once, width, mode="constant")

    total = smooth(weight) + 1e-6
    mean = smooth(picture * weight) / total
    variance = np.maximum(smooth((picture - mean) ** 2 * weight) / total, 0)
    return ((picture - mean) / np.sqrt(variance + 1e-8) * weight).astype(np.float32)


def shrink_to(picture: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """(H, W) smoothed and resampled to (rows, columns)."""
    size = (rows, columns)
    blur = [max(0.0, 0.5 * n / m - 0.5) for n, m in zip(picture.shape, size, strict=True)]
    smooth = ndimage.gaussian_filter(picture.astype(np.float32), blur)
    zoom = [m / n for n, m in zip(picture.shape, size, strict=True)]
    return ndimage.zoom(smooth, zoom, order=1, grid_mode=True, mode="nearest")
