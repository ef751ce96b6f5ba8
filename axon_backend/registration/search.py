"""Coarse localisation of the chest by template matching over scales and aspect ratios."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from axon_backend.errors import Cancelled
from axon_backend.imaging.matching import box_sum, correlate, local_contrast, shrink_to

GRID = 64  # side of the reference during the search
# Sides of the field of view, as fractions of the image's longer side.
SCALES = tuple(np.exp(np.linspace(np.log(0.62), np.log(1.45), 11)))
# The centre of the reference is the template: lungs, heart and spine, not arms and corners.
MIDDLE = slice(round(0.1 * GRID), round(0.9 * GRID))


@dataclass(frozen=True)
class Start:
    """A placement: the field of view is a box of ``width`` x ``height`` pixels of the image,
    centred at (``column``, ``row``). ``score`` is the NCC there."""

    column: float
    row: float
    width: float
    height: float
    score: float

    def matrix(self) -> np.ndarray:
        """(3, 3): field coordinates in [0, 1]^2 -> (column, row, 1)."""
        return np.array(
            [
                [self.width, 0, self.column - 0.5 * self.width],
                [0, self.height, self.row - 0.5 * self.height],
                [0, 0, 1],
            ]
        )

    def near(self, other: Start) -> bool:
        """Whether it is so similar a placement that refining both would give the same result."""
        return (
            abs(self.column - other.column) < 0.06 * self.width
            and abs(self.row - other.row) < 0.06 * self.height
            and abs(np.log(self.width / other.width)) < 0.1
            and abs(np.log(self.height / other.height)) < 0.1
        )


def find_chest(
    moving: np.ndarray,
    fixed: np.ndarray,
    count: int = 3,
    *,
    scales: Sequence[float] = SCALES,
    stretches: Sequence[float] = (1.0,),
    cancelled: Callable[[], bool] | None = None,
) -> list[Start]:
    """The best placements of the reference in an X-ray, best first, without near-duplicates.

    Args:
        moving: (H, W) X-ray, bright = bone.
        fixed: (N, N) DRR over the field of view.
        count: number of placements to return at most.
        scales: sides of the field of view to try, as fractions of the image's longer side.
        stretches: aspect ratios (width over height) of the field of view to try.
        cancelled: asked before each scale.

    Raises:
        Cancelled: ``cancelled()`` was true.
    """
    template = local_contrast(shrink_to(fixed, GRID, GRID))[MIDDLE, MIDDLE]
    template = template - template.mean()
    template /= np.sqrt((template**2).sum())
    side = template.shape[0]
    found = []
    for scale in scales:
        if cancelled is not None and cancelled():
            raise Cancelled("stopped during the search for the chest")
        for stretch in stretches:
            width = scale * max(moving.shape) * np.sqrt(stretch)
            height = scale * max(moving.shape) / np.sqrt(stretch)
            rows = max(8, round(moving.shape[0] * GRID / height))
            columns = max(8, round(moving.shape[1] * GRID / width))
            small = shrink_to(moving, rows, columns)
            # Room for a chest that the image cuts off.
            pad = GRID // 5
            small = local_contrast(np.pad(small, pad, mode="edge"), sigma=GRID / 8)
            extra = [max(0, side - n) for n in small.shape]
            small = np.pad(small, [(e // 2, e - e // 2) for e in extra])
            product = correlate(small, template)
            total, square = (box_sum(a, side) for a in (small, small**2))
            score = product / np.sqrt(np.clip(square - total**2 / side**2, 1e-3, None))
            r, c = np.unravel_index(np.argmax(score), score.shape)
            row = (r + side / 2 - pad - extra[0] // 2) / rows * moving.shape[0] - 0.5
            column = (c + side / 2 - pad - extra[1] // 2) / columns * moving.shape[1] - 0.5
            found.append(Start(*map(float, (column, row, width, height, score[r, c]))))
    best: list[Start] = []
    for start in sorted(found, key=lambda s: -s.score):
        if not any(start.near(other) for other in best):
            best.append(start)
    return best[:count]
