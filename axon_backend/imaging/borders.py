"""Cropping of uniform borders: viewer windows, frames, shutters and collimator blades."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

_TOLERANCE = 0.02  # of the grey range: two greys this close count as equal
_UNIFORM_SHARE = 0.97  # of a line's pixels; the rest may be a burnt-in letter
_LABELLED_SHARE = 0.5  # of a border line that contains a burnt-in label
_KEEP_SHARE = 0.2  # never crop to less than this share of the area
# A viewer's background is flat: greys that differ by less than this share of the grey range count
# as one. The image in it is a solid rectangle, with at least this share of pixels of other greys.
# The search uses about this many lines along a side.
_FLAT, _SOLID, _LOOK_AT = 0.006, 0.9, 400
_OTHER = 0.5  # of the image's area: a larger second piece is another image

Box = tuple[int, int, int, int]  # top, bottom, left, right; bottom and right exclusive


def crop_border(pixels: np.ndarray) -> tuple[np.ndarray, Box]:
    """Crop the window of a viewer and uniform black or white lines off the edges of [row, col].

    Returns the image and the numbers of pixels cropped (top, bottom, left, right). A viewer's
    background may have any grey if it is flat and the image in it is a rectangle; tool bars and
    panels outside it are removed with it. Otherwise only greys at an end of the range count as
    border. A crop that would leave less than a fifth of the image is not applied. Nested frames (a
    white page around a black shutter) are all removed, including labels burnt into the border, if
    the border's edge is clean.
    """
    rows, cols = pixels.shape
    box = _in_viewer(pixels)
    shown = pixels[box[0] : box[1], box[2] : box[3]]
    low, high = float(shown.min()), float(shown.max())
    span = _TOLERANCE * (high - low)
    dark, bright = pixels <= low + span, pixels >= high - span
    for _ in range(4):
        before = box
        box = _without_labels((dark, bright), _without_lines((dark, bright), box))
        if before == box:
            break
    top, bottom, left, right = box
    if (bottom - top) * (right - left) < _KEEP_SHARE * rows * cols:
        return pixels, (0, 0, 0, 0)
    cut = (top, rows - bottom, left, cols - right)
    return np.ascontiguousarray(pixels[top:bottom, left:right]), cut


def _in_viewer(pixels: np.ndarray) -> Box:
    """The box of the image in a viewer's flat background, or the whole image if there is none."""
    whole = (0, pixels.shape[0], 0, pixels.shape[1])
    step = max(1, max(pixels.shape) // _LOOK_AT)
    small = pixels[::step, ::step]
    low, high = float(small.min()), float(small.max())
    flat = _FLAT * (high - low)
    counts, ends = np.histogram(small, 256, (low, high))
    often = [0.5 * (ends[k] + ends[k + 1]) for k in np.argsort(counts)[-2:]]
    edges = [float(np.median(line)) for line in (small[0], small[-1], small[:, 0], small[:, -1])]
    best = whole
    for grey in {round(g, 6) for g in (*edges, *often)}:
        if not low + flat < grey < high - flat:
            continue  # black and white cannot be distinguished from those of the X-ray
        near = np.abs(small - grey) <= max(flat, 1.5 * (high - low) / 256)
        grey = float(np.median(small[near])) if near.any() else grey
        found = _rectangle(np.abs(small - grey) <= flat)
        if found is None:
            continue
        top, bottom, left, right = (n * step for n in found)
        grown = (
            max(0, top - step),
            min(whole[1], bottom + step),
            max(0, left - step),
            min(whole[3], right + step),
        )
        background = np.abs(pixels - grey) <= flat
        box = _without_lines((background,), grown)
        if best == whole or _area(box) > _area(best):
            best = box
    return best


def _area(box: Box) -> int:
    return (box[1] - box[0]) * (box[3] - box[2])


def _rectangle(background: np.ndarray) -> Box | None:
    """The box of the largest component separated by a background, if it is a large solid rectangle
    with background on at least two of its sides, and no other component could be the image."""
    pieces, count = ndimage.label(~background)
    if not count:
        return None
    sizes = np.bincount(pieces.ravel())
    largest = int(sizes[1:].argmax()) + 1
    if count > 1 and np.partition(sizes[1:], -2)[-2] > _OTHER * sizes[largest]:
        return None
    down, across = ndimage.find_objects(pieces)[largest - 1]
    box = (down.start, down.stop, across.start, across.stop)
    if _area(box) < _KEEP_SHARE * background.size or sizes[largest] < _SOLID * _area(box):
        return None
    rows, cols = background.shape
    sides = [
        background[down.start - 1, across] if down.start else None,
        background[down.stop, across] if down.stop < rows else None,
        background[down, across.start - 1] if across.start else None,
        background[down, across.stop] if across.stop < cols else None,
    ]
    around = [float(side.mean()) for side in sides if side is not None]
    return box if len(around) >= 2 and min(around) >= _UNIFORM_SHARE else None


def _without_lines(ends: tuple[np.ndarray, ...], box: Box) -> Box:
    """The box without the lines at its edges that are all of one of the border's greys."""
    top, bottom, left, right = box

    def uniform(rows: slice | int, cols: slice | int) -> bool:
        return max(float(np.mean(end[rows, cols])) for end in ends) >= _UNIFORM_SHARE

    while top < bottom - 1 and uniform(top, slice(left, right)):
        top += 1
    while bottom > top + 1 and uniform(bottom - 1, slice(left, right)):
        bottom -= 1
    while left < right - 1 and uniform(slice(top, bottom), left):
        left += 1
    while right > left + 1 and uniform(slice(top, bottom), right - 1):
        right -= 1
    return top, bottom, left, right


def _without_labels(ends: tuple[np.ndarray, np.ndarray], box: Box) -> Box:
    """The box without border lines that lie outside a clean edge and contain only labels:
    components that the border separates from the image, the largest component."""
    rows, cols = ends[0].shape
    for border in ends:
        top, bottom, left, right = box
        clean = [
            top > 0 and border[top - 1, left:right].mean() >= _UNIFORM_SHARE,
            bottom < rows and border[min(bottom, rows - 1), left:right].mean() >= _UNIFORM_SHARE,
            left > 0 and border[top:bottom, left - 1].mean() >= _UNIFORM_SHARE,
            right < cols and border[top:bottom, min(right, cols - 1)].mean() >= _UNIFORM_SHARE,
        ]
        if not any(clean):
            continue
        inside = border[top:bottom, left:right]
        pieces, count = ndimage.label(~inside)
        if count < 2:
            continue
        largest = int(np.bincount(pieces.ravel())[1:].argmax()) + 1
        down, across = ndimage.find_objects(pieces)[largest - 1]
        # Lines that are not mostly border, and the numbers of border lines before and after them.
        by_row, by_col = (inside.mean(axis) < _LABELLED_SHARE for axis in (1, 0))
        first_row, last_row = _ends_of(by_row)
        first_col, last_col = _ends_of(by_col)
        box = (
            top + (min(down.start, first_row) if clean[0] else 0),
            bottom - (min(len(by_row) - down.stop, last_row) if clean[1] else 0),
            left + (min(across.start, first_col) if clean[2] else 0),
            right - (min(len(by_col) - across.stop, last_col) if clean[3] else 0),
        )
    return box


def _ends_of(full: np.ndarray) -> tuple[int, int]:
    """The numbers of lines before the first and after the last True one; 0 if none is True."""
    at = np.flatnonzero(full)
    return (int(at[0]), len(full) - 1 - int(at[-1])) if len(at) else (0, 0)
