"""Reading of chest X-rays from files of any supported format to one upright image."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from axon_backend.errors import AxonInputError
from axon_backend.imaging.borders import crop_border
from axon_backend.imaging.content import CHEST, KINDS, Content, see
from axon_backend.imaging.display import belongs, turn_to_display
from axon_backend.imaging.flat_volume import read_flat_volume
from axon_backend.imaging.formats import find_format, list_formats
from axon_backend.imaging.layout import Layout, recognise
from axon_backend.imaging.packed import refuse_packed
from axon_backend.imaging.parts import chests_in, part_box
from axon_backend.imaging.polarity import CERTAIN, UNCLEAR, bones_are_bright
from axon_backend.imaging.raw_xray import RawXray, in_proportion
from axon_backend.imaging.turn import Turn
from axon_backend.imaging.view import INSIST, View
from axon_backend.util.input_file import check_input, exists

__all__ = ["Radiograph", "View", "read_radiograph"]

MIN_PIXELS = 64  # along each side
_MIN_LEVELS = 16  # grey levels
NOT_A_CHEST = "the image does not look like a chest X-ray"
OTHER_VIEW = "the X-ray looks like a"  # with the view's name
NO_TAG = "no tag states the orientation: judging by the image, it is right"
_STRONGLY_INVERTED = -0.6  # below this score the tags are doubtful
_UNCLEAR_BONES = "whether bones are bright is unclear: bright is assumed"


@dataclass(frozen=True)
class Radiograph:
    """One chest X-ray, right way up.

    `pixels`: float32 [row, col], linear in attenuation up to an affine map, bright = bone. Row 0
    is Superior; column 0 is the patient's Right (frontal views) or Anterior (lateral views).
    `pixel_mm`: (row, col) in millimetres in the patient plane, or None when unknown.
    `source`: the file. `assumptions`: what was assumed or changed, in plain sentences.
    `sid_mm`: source-to-image distance, if the file states it. `warnings`: the assumptions that the
    user should check. `looks_like`: what the image shows instead of one chest X-ray, or "frontal"
    or "lateral" if that is clearly its view instead of `view`, which no tag states; such an image
    is not registered (see `require_chest`). Empty if it shows one, or if the user overrides it.
    `valid`: [row, col] bool, False under coloured marks, whose pixels were interpolated from their
    surroundings; None if there are none.
    """

    pixels: np.ndarray
    pixel_mm: tuple[float, float] | None
    view: View
    source: str = ""
    assumptions: tuple[str, ...] = ()
    sid_mm: float | None = None
    warnings: tuple[str, ...] = ()
    looks_like: str = ""
    valid: np.ndarray | None = None


def require_chest(xray: Radiograph) -> None:
    """Refuse an image that does not look like one chest X-ray of its view.

    Raises:
        AxonInputError: the message states what it looks like instead.
    """
    name = Path(xray.source).name or "The X-ray"
    if xray.looks_like == other_view(xray.view):
        raise AxonInputError(
            f"{name} does not look like a {view_name(xray.view)} chest X-ray, but like a "
            f"{xray.looks_like} one. Give it as the {xray.looks_like} X-ray, or use it anyway: "
            f"{INSIST}."
        )
    if xray.looks_like:
        raise AxonInputError(
            f"{name} does not look like a chest X-ray, but like {xray.looks_like}. Give a chest "
            f"X-ray, or use it anyway: {INSIST}."
        )


def view_name(view: View) -> str:
    """``frontal`` or ``lateral``."""
    return "frontal" if view.is_frontal else "lateral"


def other_view(view: View) -> str:
    """``lateral`` for a frontal view, and ``frontal`` for a lateral one."""
    return "lateral" if view.is_frontal else "frontal"


def read_radiograph(
    path: str | os.PathLike[str],
    view: View | str | None = None,
    invert: bool | None = None,
    *,
    assumed: View = View.pa,
    flip: bool | None = None,
    rotate: int | None = None,
    part: str | None = None,
    force: bool = False,
) -> Radiograph:
    """Read a chest X-ray from a file of any registered format (`imaging.formats`).

    `view` states the projection and overrides tags; if neither states it, it is `assumed`.
    `invert` = True: the image as shown has dark bones; False: it has bright bones; None: the tags,
    or without tags the layout of the image, decide.
    `rotate` rotates the image as shown by 0, 90, 180 or 270 degrees clockwise, then `flip` = True
    mirrors it. If either is given, the orientation is not changed further; if both are None, the
    tags decide, and without tags the image does if it is certain (see `layout`).
    `part` selects the ``left``, ``right``, ``top`` or ``bottom`` one of two X-rays in the image.
    `force` = True accepts the image as a chest X-ray of its view, whatever it looks like; otherwise
    an image that looks like something else is returned with `looks_like`.

    Raises `AxonInputError`, which states what was found and how to proceed, for anything that is
    not one grey chest X-ray.
    """
    check_input(path)
    source = Path(path)
    view = known_view(view)
    raw = _read_raw(source, view)
    return upright(
        raw,
        view,
        invert,
        source.name,
        str(source),
        assumed,
        flip=flip,
        rotate=rotate,
        part=part,
        force=force,
    )


def shows_lateral(path: str | os.PathLike[str]) -> bool:
    """Whether an image whose tags do not name the view certainly shows a lateral chest X-ray.

    Raises:
        AxonInputError: the file cannot be read as an X-ray.
    """
    check_input(path)
    source = Path(path)
    pixels = _read_raw(source, None).pixels
    _check(pixels, source.name)
    return recognise(crop_border(pixels)[0], True, None).is_other_view


def known_view(view: View | str | None) -> View | None:
    """The view with a name, or None for None; raises `AxonInputError` if the name is unknown."""
    if view is None:
        return None
    try:
        return View(view)
    except ValueError:
        raise AxonInputError(
            f"Unknown view {view!r}; it must be one of {', '.join(v.value for v in View)}."
        ) from None


def upright(
    raw: RawXray,
    view: View | None,
    invert: bool | None,
    name: str,
    source: str,
    assumed: View = View.pa,
    *,
    flip: bool | None = None,
    rotate: int | None = None,
    part: str | None = None,
    force: bool = False,
) -> Radiograph:
    """Orient, crop and check an X-ray, and make its bones bright; see `read_radiograph`.

    `name` is used in messages, `source` is recorded.
    """
    notes, given = list(raw.notes), view
    if view is None:
        view = raw.view
        if view is None:
            view = assumed
            notes.append(f"the view is not stated: {view.value.upper()} is assumed")
    elif raw.view is not None and raw.view is not view:
        notes.append(f"the view {view.value} was given, the file states {raw.view.value}")

    _check(raw.pixels, name)
    pixels, pixel_mm, stated, valid = raw.pixels, raw.pixel_mm, raw.oriented, raw.valid
    if raw.orientation is not None:
        turned = raw.orientation, view.is_frontal
        if valid is not None:
            valid = turn_to_display(valid, None, *turned)[0]
        pixels, pixel_mm, note = turn_to_display(pixels, pixel_mm, *turned)
        notes += [note] if note else []
        stated = belongs(raw.orientation, view.is_frontal)
    pixels, cut = crop_border(pixels)
    if valid is not None:
        valid = valid[cut[0] : valid.shape[0] - cut[1], cut[2] : valid.shape[1] - cut[3]]
    if any(cut):
        sides = zip(("top", "bottom", "left", "right"), cut, strict=True)
        counts = ", ".join(
            f"{n} pixel{'s' if n > 1 else ''} at the {side}" for side, n in sides if n
        )
        notes.append(f"a uniform border was cropped: {counts}")
    if part is not None:
        box = part_box(pixels, part)
        pixels, valid = pixels[box], None if valid is None else valid[box]
        notes.append(f"the {part} part of the image was used as requested")
    _check(pixels, name)
    shown = in_proportion(pixels, pixel_mm)
    content = see(shown)
    looks_like, said = judged(content, shown, force)
    notes.append(said)
    if invert is not None:
        notes += ["inverted as requested"] if invert else []
        pixels = pixels.max() + pixels.min() - pixels if invert else pixels
    warnings = [said] if content.chest < CHEST else []
    turn, orientation = Turn(), list[str]()
    if flip is not None or rotate is not None:
        turn, orientation = _as_asked(flip, rotate)
    elif content.chest >= CHEST:  # for other images the orientation is unknown
        bright = True if invert is not None else None
        shown = in_proportion(pixels, pixel_mm)
        layout = recognise(shown, view.is_frontal, bright, content)
        if given is None and raw.view_weak and layout.is_other_view:
            # No tag names the view, and the image shows the other one.
            other = View.lateral_left if view.is_frontal else View.pa
            shows = (
                f"the image shows a {'lateral' if view.is_frontal else 'frontal'} view, although "
                "the file suggests otherwise: check it"
            )
            raw = replace(
                raw,
                view=other,
                view_weak=False,
                orientation=None,
                notes=(*raw.notes, shows),
                warnings=(*raw.warnings, shows),
            )
            return upright(raw, None, invert, name, source, part=part, force=force)
        named = (
            raw.view is not None and not raw.view_weak and raw.view.is_frontal is view.is_frontal
        )
        if layout.contradicts_view and not (named or force):
            looks_like = other_view(view)
        turn, orientation, doubts = decide(layout, stated, force)
        warnings += doubts
    notes += orientation
    pixels, pixel_mm = turn(pixels), turn.pixel_mm(pixel_mm)
    valid = None if valid is None else turn(valid)
    if invert is None:  # judged by the layout of an upright image
        pixels, polarity = _bright_bones(pixels, view, content.dark, raw.polarity_known)
        notes += polarity
        warnings += [n for n in polarity if raw.polarity_known or n == _UNCLEAR_BONES]
    return Radiograph(
        np.ascontiguousarray(pixels, dtype=np.float32),
        pixel_mm,
        view,
        source,
        tuple(notes),
        raw.sid_mm,
        (*raw.warnings, *warnings),
        looks_like,
        valid,
    )


def judged(content: Content, pixels: np.ndarray, force: bool) -> tuple[str, str]:
    """What an image without borders looks like instead of one chest X-ray (empty if it is one or
    is forced), and a note on it."""
    if content.chest >= CHEST:
        view = "frontal" if content.frontal >= 0.5 else "lateral"
        return "", f"the image shows a {view} chest X-ray (probability {content.chest:.2f})"
    found, advice = KINDS[content.likeliest], ""
    two = chests_in(pixels) if content.likeliest == "several" else {}
    if two:
        shown = " and ".join(f"a {view} one ({part})" for part, view in two.items())
        found = f"two chest X-rays in one image, {shown}"
        advice = f"; choose one with --part {' or --part '.join(two)}"
    if force:
        return "", f"the image looks like {found}: it was used as requested"
    return found + advice, f"{NOT_A_CHEST}, but like {found}{advice}"


def _as_asked(flip: bool | None, rotate: int | None) -> tuple[Turn, list[str]]:
    """The turn requested by the user, and a note on it."""
    if rotate not in (None, 0, 90, 180, 270):
        raise AxonInputError(
            f"An X-ray cannot be rotated by {rotate} degrees; give 0, 90, 180 or 270 (clockwise)."
        )
    done = [f"rotated by {rotate} degrees clockwise"] if rotate else []
    done += ["flipped left/right"] if flip else []
    note = f"{' and '.join(done) or 'the orientation was left unchanged'} as requested"
    return Turn(-(rotate or 0) // 90 % 4, bool(flip)), [note]


def decide(layout: Layout, stated: bool, force: bool = False) -> tuple[Turn, list[str], list[str]]:
    """The turn to apply for the layout of an image, notes, and those of them that are warnings.

    `stated`: the file states the orientation; `force`: the user insists on the view. A tag that the
    image contradicts with certainty is considered wrong, except for the sides of a frontal X-ray: a
    heart on the right is rare but possible.
    """
    if layout.looks is None:
        return Turn(), [] if stated else [NO_TAG], []
    if layout.certain and not (stated and layout.sides_only):
        against = ", although the file states otherwise" if stated else ""
        note = (
            f"the X-ray looks {layout.looks}{against}: it was reoriented; flip or rotate it if "
            "this is wrong"
        )
        return layout.turn, [note], [note]
    insisted = layout.other is not None and force
    done = "it was used as requested" if insisted else "check its orientation"
    note = f"the X-ray looks {layout.looks}: {done}"
    return Turn(), [note], [note]


def _read_raw(source: Path, view: View | None) -> RawXray:
    if not exists(source):
        raise AxonInputError(f"{source} does not exist. Check the path of the X-ray.")
    if source.is_dir():
        raise AxonInputError(
            f"{source} is a folder; an X-ray is one file. Give the X-ray's file; a folder of "
            "slices is a CT."
        )
    if source.stat().st_size == 0:
        raise AxonInputError(f"{source.name} is empty (0 bytes). Copy or export the X-ray again.")
    format = find_format(source)
    if format is None:
        refuse_packed(source, f"the X-ray in it as {list_formats()}")
        raise AxonInputError(
            f"{source.name} is not in a format that AXON reads, or is damaged. Give an X-ray as "
            f"{list_formats()}."
        )
    if format.read_xray is None:
        return read_flat_volume(source, view)
    try:
        return format.read_xray(source, view is not None)
    except (AxonInputError, MemoryError):
        raise
    except Exception as error:  # third-party readers may raise anything
        raise AxonInputError(
            f"{source.name} could not be read as {format.name}: the file is damaged or cut short. "
            "Copy or export it again."
        ) from error


def _check(pixels: np.ndarray, name: str) -> None:
    if not np.isfinite(pixels).all():
        raise AxonInputError(
            f"{name} contains pixels that are not numbers (NaN or infinite). "
            "Replace them and try again."
        )
    if min(pixels.shape) < MIN_PIXELS:
        raise AxonInputError(
            f"{name} is too small: {pixels.shape[0]} x {pixels.shape[1]} pixels, at least "
            f"{MIN_PIXELS} x {MIN_PIXELS} are needed. Give the X-ray in its full size."
        )
    levels = len(np.unique(pixels[:: max(1, pixels.shape[0] // 256)]))
    if levels < _MIN_LEVELS:
        raise AxonInputError(
            f"{name} has only {levels} grey level{'s' if levels > 1 else ''}; an X-ray has "
            "hundreds: it is blank or a drawing. Give a chest X-ray."
        )


def _bright_bones(
    pixels: np.ndarray, view: View, dark: float, polarity_known: bool
) -> tuple[np.ndarray, list[str]]:
    """Pixels with bright bones, and notes on how the polarity was determined; `dark`: see
    `bones_are_bright`."""
    inverted = pixels.max() + pixels.min() - pixels
    score = bones_are_bright(pixels, view.is_frontal, dark)
    if polarity_known:
        if score <= -CERTAIN:
            return inverted, [
                f"the file states that bones are bright, but the image shows dark ones (score "
                f"{score:.2f}): it was inverted; invert it again if this is wrong"
            ]
        if score < _STRONGLY_INVERTED:
            return pixels, ["the file states that bones are bright, but they look dark: check it"]
        return pixels, []
    if score <= -UNCLEAR:
        return inverted, [f"the image shows dark bones (score {score:.2f}): it was inverted"]
    if score < UNCLEAR:
        return pixels, [_UNCLEAR_BONES]
    return pixels, ["bones are bright by the layout of the image"]
