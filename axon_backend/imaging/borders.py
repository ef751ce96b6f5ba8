"""Uniform borders: frames of screenshots, shutters and collimator blades."""

from __future__ import annotations

import numpy as np

_TOLERANCE = 0.02  # of the grey range: two greys this near count as equal
_UNIFORM_SHARE = 0.97  # of a line's pixels; the rest may be a burnt-in letter
_KEEP_SHARE = 0.2  # never crop to less than this share of the area


def crop_border(pixels: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """Cut uniform black or white lines off the edges of [row, col].

    Returns the picture and the numbers of pixels cut (top, bottom, left, right). Only greys at
    an end of the range count as border, and a crop that would leave less than a fifth of the
    picture is not made. Nested frames (a white page around a black shutter) are all cut.
    """
    low, high = float(pixels.min()), float(pixels.max())
    span = _TOLERANCE * (high - low)
    rows, cols = pixels.shape
    top, bottom, left, right = 0, rows, 0, cols

    def uniform(line: np.ndarray) -> bool:
        dark = float(np.mean(line <= low + span))
        bright = float(np.mean(line >= high - span))
        return max(dark, bright) >= _UNIFORM_SHARE

    for _ in range(4):
        before = (top, bottom, left, right)
        while top < bottom - 1 and uniform(pixels[top, left:right]):
            top += 1
        while bottom > top + 1 and uniform(pixels[bottom - 1, left:right]):
            bottom -= 1
        while left < right - 1 and uniform(pixels[top:bottom, left]):
            left += 1
        while right > left + 1 and uniform(pixels[top:bottom, right - 1]):
            right -= 1
        if before == (top, bottom, left, right):
            break
    if (bottom - top) * (right - left) < _KEEP_SHARE * rows * cols:
        return pixels, (0, 0, 0, 0)
    cut = (top, rows - bottom, left, cols - right)
    return np.ascontiguousarray(pixels[top:bottom, left:right]), cut
