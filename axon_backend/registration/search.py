"""Coarse localisation of the chest by template matching over scales and aspect ratios."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from axon_backend.errors import Cancelled
from axon_backend.imaging.matching import shrink_to
from axon_backend.imaging.template_search import GRID, best_places, template_of

# Sides of the field of view, as fractions of the image's longer side.
SCALES = tuple(np.exp(np.linspace(np.log(0.62), np.log(1.45), 11)))


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
        """Whether the placements are so similar that refining both would give the same result."""
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
        count: maximum number of placements.
        scales: sides of the field of view to try, as fractions of the image's longer side.
        stretches: aspect ratios (width over height) of the field of view to try.
        cancelled: checked before each scale.

    Raises:
        Cancelled: ``cancelled()`` was true.
    """
    template = {"": template_of(shrink_to(fixed, GRID, GRID))}
    found = []
    for scale in scales:
        if cancelled is not None and cancelled():
            raise Cancelled("stopped during the search for the chest")
        for stretch in stretches:
            width = float(scale * max(moving.shape) * np.sqrt(stretch))
            height = float(scale * max(moving.shape) / np.sqrt(stretch))
            place = best_places(moving, (height, width), template)[""].bright
            row, column = place.middle
            found.append(Start(column, row, width, height, place.score))
    best: list[Start] = []
    for start in sorted(found, key=lambda s: -s.score):
        if not any(start.near(other) for other in best):
            best.append(start)
    return best[:count]
