"""Where in a picture is the chest, roughly? Template matching over scales."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, signal

from axon_backend.registration.quality import local_contrast

GRID = 64  # side of the reference during the search
# Sides of the field of view as parts of the picture's long side.
SCALES = np.exp(np.linspace(np.log(0.62), np.log(1.45), 13))
# The middle of the reference is the template: lungs, heart and spine, not arms and corners.
MIDDLE = slice(round(0.1 * GRID), round(0.9 * GRID))


@dataclass(frozen=True)
class Start:
    """A placement: the field of view is a square of ``side`` pixels of the picture, centred at
    (``column``, ``row``). ``score`` is the NCC there."""

    column: float
    row: float
    side: float
    score: float

    def matrix(self) -> np.ndarray:
        """(3, 3): field coordinates in [0, 1]^2 -> (column, row, 1)."""
        return np.array(
            [
                [self.side, 0, self.column - 0.5 * self.side],
                [0, self.side, self.row - 0.5 * self.side],
                [0, 0, 1],
            ]
        )


def shrink_to(picture: np.ndarray, side: int) -> np.ndarray:
    """(H, W) smoothed and resampled to (side, side)."""
    blur = [max(0.0, 0.5 * n / side - 0.5) for n in picture.shape]
    smooth = ndimage.gaussian_filter(picture.astype(np.float32), blur)
    return ndimage.zoom(smooth, [side / n for n in picture.shape], order=1, grid_mode=True,
                        mode="nearest")


def find_chest(moving: np.ndarray, fixed: np.ndarray, count: int = 3) -> list[Start]:
    """The best placements of the reference in a picture, best first, one per scale.

    Args:
        moving: (H, W) X-ray, bright = bone.
        fixed: (N, N) DRR over the field of view.
        count: how many to return.
    """
    template = local_contrast(shrink_to(fixed, GRID))[MIDDLE, MIDDLE]
    template = template - template.mean()
    template /= np.sqrt((template**2).sum())
    side = template.shape[0]
    ones = np.ones((side, side), np.float32)
    found = []
    for scale in SCALES:
        field = scale * max(moving.shape)
        zoom = GRID / field
        rows, columns = (max(8, round(n * zoom)) for n in moving.shape)
        blur = max(0.0, 0.5 / zoom - 0.5)
        small = ndimage.zoom(
            ndimage.gaussian_filter(moving.astype(np.float32), blur),
            (rows / moving.shape[0], columns / moving.shape[1]),
            order=1, grid_mode=True, mode="nearest",
        )
        # Room for a chest that is cut by the picture's edge.
        pad = GRID // 5
        inside = np.pad(np.ones(small.shape, bool), pad)
        small = local_contrast(np.pad(small, pad, mode="edge"), inside)
        if min(small.shape) < side:
            extra = [max(0, side - n) for n in small.shape]
            small = np.pad(small, [(e // 2, e - e // 2) for e in extra])
        else:
            extra = [0, 0]
        product = signal.fftconvolve(small, template[::-1, ::-1], mode="valid")
        total = signal.fftconvolve(small, ones, mode="valid")
        square = signal.fftconvolve(small**2, ones, mode="valid")
        spread = np.sqrt(np.clip(square - total**2 / side**2, 1e-3, None))
        score = product / spread
        r, c = np.unravel_index(np.argmax(score), score.shape)
        centre_r = (r + side / 2 - pad - extra[0] // 2) / rows * moving.shape[0]
        centre_c = (c + side / 2 - pad - extra[1] // 2) / columns * moving.shape[1]
        found.append(Start(float(centre_c) - 0.5, float(centre_r) - 0.5, float(field),
                           float(score[r, c])))
    return sorted(found, key=lambda s: -s.score)[:count]
