"""Images in the memory of a host program, with the same checks as for files, and manual corrections
of what was assumed about an X-ray."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from axon_backend.errors import AxonInputError
from axon_backend.imaging.content import Content, see
from axon_backend.imaging.ct import CTVolume, checked_ct
from axon_backend.imaging.layout import recognise
from axon_backend.imaging.parts import part_box
from axon_backend.imaging.radiograph import (
    NO_TAG,
    NOT_A_CHEST,
    OTHER_VIEW,
    Radiograph,
    decide,
    judged,
    known_view,
    other_view,
    upright,
    view_name,
)
from axon_backend.imaging.raw_xray import (
    FIELD_MM,
    RawXray,
    in_proportion,
    is_chest_field,
    stated_size,
)
from axon_backend.imaging.view import View

_NO_SIZE = "no plausible pixel size is known: the atlas's size is used"
_BY_HAND = "corrected by hand:"
_VIEW = f"{_BY_HAND} the view is "
_PIXEL = f"{_BY_HAND} the pixel size is "
_INVERTED = f"{_BY_HAND} the grey scale was inverted"
_FLIPPED = f"{_BY_HAND} left and right were exchanged"
_FORCED = f"{_BY_HAND} it is a"

PixelSize = float | tuple[float, float]


def radiograph_from_pixels(
    pixels: np.ndarray,
    pixel_mm: PixelSize | None = None,
    view: View | str | None = None,
    *,
    source: str = "",
    assumptions: Sequence[str] = (),
    invert: bool | None = None,
    assumed: View = View.pa,
    oriented: bool = False,
    flip: bool | None = None,
    rotate: int | None = None,
    part: str | None = None,
    force: bool = False,
) -> Radiograph:
    """An X-ray from pixels as displayed, treated like an image file without tags.

    Args:
        pixels: [row, col]. Leading axes of length 1 are dropped.
        pixel_mm: (row, col) in millimetres in the patient plane, one number for both, or None. A
            size that is implausible for a chest X-ray, or exactly 1 mm, is ignored.
        view: the projection; None: ``assumed``.
        source: a name for messages and records.
        assumptions: notes on the origin of the pixels.
        invert: True: the bones are dark as shown; False: bright; None: the layout decides.
        assumed: the view if none is given.
        oriented: the pixels were oriented by a geometry in patient coordinates.
        flip, rotate, part, force: as for `read_radiograph`.

    Returns:
        The X-ray in the orientation of `read_radiograph`, with bright bones and without uniform
        borders, so it may have fewer pixels.

    Raises:
        AxonInputError: it is not one grey chest X-ray, or the pixel size is not a length.
    """
    name = source or "The X-ray"
    array = np.asarray(pixels)
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 2 or array.dtype.kind not in "uif":
        raise AxonInputError(
            f"{name} has the shape {' x '.join(map(str, array.shape))} of {array.dtype}; an X-ray "
            "has rows and columns of grey values. Give the grey image."
        )
    size = _pixel_size(pixel_mm, name)
    size = None if size is None else stated_size(array.shape, size)
    notes = [*assumptions, *([] if size else [_NO_SIZE])]
    raw = RawXray(array.astype(np.float32), pixel_mm=size, oriented=oriented, notes=tuple(notes))
    return upright(
        raw,
        known_view(view),
        invert,
        name,
        source,
        assumed,
        flip=flip,
        rotate=rotate,
        part=part,
        force=force,
    )


def mask_as_text(mask: np.ndarray | None) -> str:
    """A [row, col] mask as a string, for a host program's attributes; empty for None."""
    if mask is None:
        return ""
    return base64.b64encode(zlib.compress(np.packbits(mask).tobytes())).decode("ascii")


def mask_of_text(text: str | None, shape: tuple[int, int]) -> np.ndarray | None:
    """The inverse of `mask_as_text`; None for an empty string, or one for another shape."""
    try:
        bits = np.frombuffer(zlib.decompress(base64.b64decode(text or "")), np.uint8)
    except (ValueError, zlib.error):
        return None
    if len(bits) != -(-shape[0] * shape[1] // 8):
        return None
    return np.unpackbits(bits, count=shape[0] * shape[1]).reshape(shape).astype(bool)


def ct_from_array(
    hu: np.ndarray,
    ijk_to_lps: np.ndarray,
    source: str = "",
    assumptions: Sequence[str] = (),
) -> CTVolume:
    """A CT from voxels in memory.

    Args:
        hu: [k, j, i].
        ijk_to_lps: (4, 4), (i, j, k, 1) to LPS millimetres; any orientation.
        source: a name for messages and records.
        assumptions: notes on the origin of the voxels.

    Raises:
        AxonInputError: it is not one 3-D chest CT in HU.
    """
    name = source or "The CT"
    voxels, affine = np.asarray(hu), np.asarray(ijk_to_lps, dtype=np.float64)
    if voxels.ndim != 3 or voxels.dtype.kind not in "uif":
        raise AxonInputError(
            f"{name} has {voxels.ndim} axes of {voxels.dtype}; a CT has 3 of HU. Give one volume."
        )
    if affine.shape != (4, 4) or not np.allclose(affine[3], (0, 0, 0, 1)):
        raise AxonInputError(
            f"{name}: the geometry is not a 4 x 4 matrix with the last row 0, 0, 0, 1. Give the "
            "map of voxel indices to millimetres."
        )
    return checked_ct(voxels, affine, name, source, tuple(assumptions))


def corrected(
    xray: Radiograph,
    *,
    view: View | str | None = None,
    pixel_mm: PixelSize | None = None,
    invert: bool | None = None,
    flip_lr: bool | None = None,
    part: str | None = None,
    force: bool | None = None,
) -> Radiograph:
    """The X-ray with the user's corrections, each recorded in its assumptions.

    Args:
        view: the projection.
        pixel_mm: (row, col) in millimetres in the patient plane, or one number for both; 0 for an
            unknown size.
        invert: True inverts the current grey scale.
        flip_lr: True exchanges left and right of the current image.
        part: one of two X-rays in the current image, ``left``, ``right``, ``top`` or ``bottom``;
            the orientation is determined again.
        force: True accepts it as a chest X-ray of its view, whatever it looks like.

    Inverting or flipping twice restores the X-ray.

    Raises:
        AxonInputError: the view is unknown, or the pixel size implausible for a chest X-ray.
    """
    pixels, notes, warnings = xray.pixels, list(xray.assumptions), xray.warnings
    valid = xray.valid
    looks_like = "" if force else xray.looks_like
    if force and xray.looks_like:
        notes = _noted(notes, _FORCED, f"{_FORCED} {view_name(xray.view)} chest X-ray")
        warnings = tuple(w for w in warnings if not w.startswith((NOT_A_CHEST, OTHER_VIEW)))
    content: Content | None = None
    if part is not None:
        box = part_box(pixels, part)
        pixels = np.ascontiguousarray(pixels[box])
        valid = None if valid is None else valid[box]
        image = in_proportion(pixels, xray.pixel_mm)
        looks_like, shown = judged(content := see(image), image, bool(force))
        notes = [n for n in notes if n not in xray.warnings]
        notes += [f"{_BY_HAND} the {part} part of the image is used", shown]
        warnings = (shown,) if looks_like else ()
    known = known_view(view) or xray.view
    if known is not xray.view:
        notes = _noted(notes, _VIEW, f"{_VIEW}{known.value}, not {xray.view.value}")
    size = xray.pixel_mm
    if part is not None or known.is_frontal is not xray.view.is_frontal:
        # The orientation was determined for the other view, or for the whole image.
        image = in_proportion(pixels, xray.pixel_mm)
        layout = recognise(image, known.is_frontal, content=content)
        if looks_like == other_view(xray.view):
            looks_like = ""
        if layout.contradicts_view and not force:
            looks_like = other_view(known)
        turn, said, warned = decide(layout, stated=False, force=bool(force))
        doubts = [w for w in warnings if w.startswith(NOT_A_CHEST)]
        pixels, warnings = turn(pixels), (*doubts, *warned)
        valid = None if valid is None else turn(valid)
        notes = [n for n in notes if n not in (NO_TAG, *xray.warnings)] + said
        size = turn.pixel_mm(size)
    if isinstance(pixel_mm, int | float) and pixel_mm == 0:
        size = None
        notes = _noted(notes, _PIXEL, f"{_PIXEL}unknown")
    elif pixel_mm is not None:
        size = _pixel_size(pixel_mm, xray.source or "The X-ray")
        assert size is not None
        if not is_chest_field(pixels.shape, size):
            field = " x ".join(f"{n * mm:.0f}" for n, mm in zip(pixels.shape, size, strict=True))
            raise AxonInputError(
                f"With a pixel size of {size[0]:g} x {size[1]:g} mm the X-ray would show {field} "
                f"mm; a chest X-ray shows {FIELD_MM[0]:.0f} to {FIELD_MM[1]:.0f} mm. Give the size "
                "of a pixel in millimetres."
            )
        notes = _noted(notes, _PIXEL, f"{_PIXEL}{size[0]:g} x {size[1]:g} mm")
    if invert:
        pixels = pixels.max() + pixels.min() - pixels
        notes = _switched(notes, _INVERTED)
    if flip_lr:
        pixels = pixels[:, ::-1]
        valid = None if valid is None else np.ascontiguousarray(valid[:, ::-1])
        notes = _switched(notes, _FLIPPED)
        warnings = ()  # they concern the orientation, which the user has now checked
    return replace(
        xray,
        pixels=np.ascontiguousarray(pixels),
        pixel_mm=size,
        view=known,
        assumptions=tuple(notes),
        warnings=warnings,
        looks_like=looks_like,
        valid=valid,
    )


def _noted(notes: list[str], start: str, note: str) -> list[str]:
    """The notes with ``note`` instead of an earlier one with the same start."""
    return [n for n in notes if not n.startswith(start)] + [note]


def _switched(notes: list[str], note: str) -> list[str]:
    return [n for n in notes if n != note] if note in notes else [*notes, note]


def _pixel_size(size: PixelSize | None, name: str) -> tuple[float, float] | None:
    if size is None:
        return None
    try:
        pair = np.broadcast_to(np.asarray(size, dtype=float), (2,))
    except (TypeError, ValueError):
        pair = np.full(2, np.nan)
    if not np.isfinite(pair).all() or min(pair) <= 0:
        raise AxonInputError(
            f"{name}: the pixel size {size} is not one or two positive lengths. Give millimetres, "
            "for example 0.143."
        )
    return float(pair[0]), float(pair[1])
