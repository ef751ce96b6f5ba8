"""Separation of two X-rays in one image, such as a screenshot."""

from __future__ import annotations

import numpy as np

from axon_backend.errors import AxonInputError
from axon_backend.imaging.borders import crop_border
from axon_backend.imaging.content import CHEST, see
from axon_backend.imaging.matching import shrink_by
from axon_backend.imaging.view import PARTS

_MIDDLE = (0.3, 0.7)  # of the width: range in which two images may meet
_LOOK_AT = 256  # pixels


def part_box(pixels: np.ndarray, part: str) -> tuple[slice, slice]:
    """Rows and columns of the ``left``, ``right``, ``top`` or ``bottom`` one of two images in an
    image (H, W), without uniform borders.

    Raises:
        AxonInputError: the part is unknown.
    """
    if part not in PARTS:
        raise AxonInputError(f"Unknown part {part!r}; it must be one of {', '.join(PARTS)}.")
    across = part in ("left", "right")
    turned = pixels.T if across else pixels
    at = _seam(turned)
    first, end = (0, at) if part in ("left", "top") else (at, len(turned))
    half = turned[first:end]
    top, bottom, left, right = crop_border(np.ascontiguousarray(half.T if across else half))[1]
    rows, columns = pixels.shape
    if across:
        return slice(top, rows - bottom), slice(first + left, end - right)
    return slice(first + top, end - bottom), slice(left, columns - right)


def chests_in(pixels: np.ndarray) -> dict[str, str]:
    """The view shown in each half of an image, as ``{"left": "frontal", ...}``; empty unless both
    halves are chest X-rays."""
    best, chosen = CHEST, {}
    for pair in (PARTS[:2], PARTS[2:]):
        halves = {part: pixels[part_box(pixels, part)] for part in pair}
        if min(min(half.shape) for half in halves.values()) < 32:
            continue
        seen = {part: see(half) for part, half in halves.items()}
        score = min(content.chest for content in seen.values())
        if score > best:
            best = score
            chosen = {p: "frontal" if c.frontal >= 0.5 else "lateral" for p, c in seen.items()}
    return chosen


def _seam(image: np.ndarray) -> int:
    """The row at which the upper image ends: the middle of the uniform strip between the two
    images, or the row with the largest difference from its neighbour."""
    step = max(1, max(image.shape) // _LOOK_AT)
    small = shrink_by(image, step)
    small = (small - small.min()) / max(float(np.ptp(small)), 1e-6)
    first, last = (round(share * len(small)) for share in _MIDDLE)
    flat = np.flatnonzero(small[first:last].std(1) < 0.02)
    if len(flat):
        runs = np.split(flat, np.flatnonzero(np.diff(flat) > 1) + 1)
        run = max(runs, key=len)
        return round((first + (run[0] + run[-1] + 1) / 2) * step)
    jump = np.abs(np.diff(small, axis=0)).mean(1)
    return (first + int(jump[first - 1 : last - 1].argmax())) * step
