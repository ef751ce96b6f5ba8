"""Resampling an image on another grid."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

ROWS = 64  # of the new image at a time, since positions take ten times the memory of pixels


def resample_image(
    pixels: np.ndarray,
    matrix: np.ndarray,
    size: int,
    shift: np.ndarray | None = None,
    valid: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Sample an image on a unit square's grid.

    Args:
        pixels: (H, W) image.
        matrix: (3, 3), maps (x, y, 1) in [0, 1]^2 of the new image to (column, row, 1) of the
            old one, whose pixel centres are at whole numbers.
        size: side of the new image; pixel centres at (i + 0.5) / size.
        shift: (2, size, size) displacement in [0, 1]^2, added to (x, y) before the map.
        valid: (H, W) bool, False for pixels to be ignored; None: all are valid.

    Returns:
        (size, size) float32 values, and a mask that is True inside the old image where it is valid.
    """
    shrink = np.sqrt(abs(np.linalg.det(matrix[:2, :2]))) / size
    source = np.asarray(pixels, np.float32)
    if shrink > 1.0:  # downsampling: low-pass filter against aliasing
        source = ndimage.gaussian_filter(source, 0.5 * np.sqrt(shrink**2 - 1))
    hidden = None
    if valid is not None:
        # Any invalid pixel among those that a new one covers.
        reach = max(1, round(shrink))
        hidden = ~valid
        if reach > 1:
            hidden = ndimage.maximum_filter(hidden.view(np.uint8), reach).view(bool)
    h, w = pixels.shape
    c = (np.arange(size) + 0.5) / size
    values, shown = np.empty((size, size), np.float32), np.empty((size, size), bool)
    for first in range(0, size, ROWS):
        part = slice(first, first + ROWS)
        x, y = np.meshgrid(c, c[part])
        if shift is not None:
            x, y = x + shift[0, part], y + shift[1, part]
        column, row = (matrix[i, 0] * x + matrix[i, 1] * y + matrix[i, 2] for i in range(2))
        ndimage.map_coordinates(source, [row, column], values[part], order=1, mode="nearest")
        inside = (row >= -0.5) & (row <= h - 0.5) & (column >= -0.5) & (column <= w - 0.5)
        if hidden is not None:
            at = (
                np.clip(np.rint(row).astype(int), 0, h - 1),
                np.clip(np.rint(column).astype(int), 0, w - 1),
            )
            inside &= ~hidden[at]
        shown[part] = inside
    return values, shown
