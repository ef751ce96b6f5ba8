"""Search for a chest in an image by normalised cross-correlation of local contrast.

The template is the centre of a chest: lungs, heart and spine, not arms and corners. Templates keep
their size; the image is shrunk so that a field of view of the tried size matches theirs.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from axon_backend.imaging.matching import box_sum, correlate, local_contrast, shrink_to

GRID = 64  # side of the field of view during the search
MIDDLE = slice(round(0.1 * GRID), round(0.9 * GRID))
SIDE = MIDDLE.stop - MIDDLE.start
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Place:
    """The field of view in an image: a box of (rows, columns) ``size`` pixels around ``middle``.

    ``score`` is the NCC there.
    """

    score: float
    middle: tuple[float, float]
    size: tuple[float, float]


@dataclass(frozen=True)
class Match:
    """The best place of a template, and the best score in the inverted image."""

    bright: Place
    dark: float


def template_of(field: np.ndarray) -> np.ndarray:
    """The template, (SIDE, SIDE), of a field of view (GRID, GRID): zero mean, unit norm."""
    template = local_contrast(field)[MIDDLE, MIDDLE]
    template = template - template.mean()
    return template / np.sqrt((template**2).sum())


def best_places(
    image: np.ndarray, size: tuple[float, float], templates: Mapping[Key, np.ndarray]
) -> dict[Key, Match]:
    """The best match of each template in an image (H, W), for a field of view of one ``size``
    (rows, columns)."""
    shape = [max(8, round(n * GRID / s)) for n, s in zip(image.shape, size, strict=True)]
    small = shrink_to(image, *shape)
    pad = GRID // 5  # room for a chest that extends beyond the image
    small = local_contrast(np.pad(small, pad, mode="edge"), sigma=GRID / 8)
    extra = [max(0, SIDE - n) for n in small.shape]
    small = np.pad(small, [(e // 2, e - e // 2) for e in extra])
    total, square = (box_sum(a, SIDE) for a in (small, small**2))
    deviation = np.sqrt(np.clip(square - total**2 / SIDE**2, 1e-3, None))
    found = {}
    for key, product in zip(templates, correlate(small, [*templates.values()]), strict=True):
        score = product / deviation
        at = np.unravel_index(int(np.argmax(score)), score.shape)
        row, column = (
            float((a + SIDE / 2 - pad - e // 2) / n * whole - 0.5)
            for a, e, n, whole in zip(at, extra, shape, image.shape, strict=True)
        )
        found[key] = Match(Place(float(score[at]), (row, column), size), float(-score.min()))
    return found
