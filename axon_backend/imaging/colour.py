"""X-rays stored in colour: their luminance, and the coloured marks on them.

A scanned or photographed film may have a tint: its colour is then a function of its brightness, and
varies slowly over the image. Pixels that differ from the tint were drawn or printed onto the X-ray
(arrows, lines, watermarks) and hide it: they are invalid. An image that is mostly coloured is a
photograph or a colour map, not an X-ray.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from axon_backend.errors import AxonInputError

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as JPEG
_TOLERANCE = 24.0 / 255.0  # differences between the channels of grey caused by JPEG
# Difference of red or blue from the tint that marks a pixel, or this many times the image's noise.
_MARK, _NOISE = 18.0 / 255.0, 6.0
_MOST_MARKED = 0.2  # of the pixels: with more colour than this, the image itself is coloured
_BENT = 0.15  # a tint's channels rise about linearly with the luminance; those of a colour map bend
_MOST_NOISE = 0.05  # of red or blue about the tint; more is an image of coloured objects
_MOST_UNEVEN = 0.2  # change of a tint's red or blue over the image: more is a colour overlay
_LINE = 0.3  # of the 3 x 3 pixels around one: a line is wider than noise
_REACH = 0.004  # of the longer side: how far the colour of a mark spreads in a JPEG


@dataclass(frozen=True)
class GreyImage:
    """`pixels`: luminance, float32 [row, col]; under marks, interpolated from their surroundings.
    `valid`: False under marks; None if there are none. `notes`: what was done; `warnings`: those
    notes that the user should check."""

    pixels: np.ndarray
    valid: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def grey_of_colour(values: np.ndarray, name: str) -> GreyImage:
    """The grey X-ray of a colour image [row, col, n] in [0, 1].

    Raises:
        AxonInputError: the image is a colour photograph or a colour map.
    """
    if values.shape[-1] == 1:
        return GreyImage(values[..., 0])
    r, g, b = (np.asarray(values[..., k], np.float32) for k in range(3))
    luma = LUMA[0] * r + LUMA[1] * g + LUMA[2] * b
    red, blue = r - luma, b - luma
    if max(float(np.abs(red).max()), float(np.abs(blue).max())) <= _MARK:
        note = "the image is stored in colour but is grey: its luminance was used"
        return GreyImage(luma, notes=(note,))
    spread = np.maximum(np.maximum(r, g), b) - np.minimum(np.minimum(r, g), b)
    tinted = float((spread > _TOLERANCE).mean())
    if _is_colour_map(luma, values):
        raise _colour_image(name, tinted)
    light = np.clip((r + g + b) * np.float32(1 / 3), 0, 1)
    away, noise, uneven = zip(*(_beyond_tint(c, light) for c in (red, blue)), strict=True)
    marks = np.maximum(*away) > 1
    if marks.any():
        marks = ndimage.uniform_filter(marks.astype(np.float32), 3) > _LINE
    coloured = float(marks.mean()) > _MOST_MARKED or max(uneven) > _MOST_UNEVEN
    if coloured or max(noise) > _MOST_NOISE:
        raise _colour_image(name, tinted)
    notes = ["the image is stored in colour but is grey: its luminance was used"]
    if tinted > _MOST_MARKED:
        notes = ["the image has a tint: its luminance was used"]
    if not marks.any():
        return GreyImage(luma, notes=tuple(notes))
    reach = max(2, round(_REACH * max(luma.shape)))
    marks = ndimage.maximum_filter(marks.astype(np.uint8), 2 * reach + 1).astype(bool)
    warning = (
        f"coloured marks cover {max(0.1, 100 * float(marks.mean())):.1f} % of the image: what they "
        "hide was left out"
    )
    return GreyImage(_filled(luma, ~marks), ~marks, (*notes, warning), (warning,))


def _colour_image(name: str, share: float) -> AxonInputError:
    return AxonInputError(
        f"{name} is a colour image ({share:.0%} of its pixels are coloured); an X-ray is grey. "
        "Give the X-ray itself, without colours."
    )


def _is_colour_map(luma: np.ndarray, values: np.ndarray) -> bool:
    """Whether colours change with the brightness as in colour maps such as hot and jet: for many
    pixels, the channels are not linear in the brightness."""
    step = tuple(slice(None, None, max(1, n // 256)) for n in luma.shape)
    level = np.clip((luma[step] * 24).astype(int), 0, 23).ravel()
    some = values[step][..., :3].reshape(-1, 3)
    used = [k for k in range(24) if (level == k).mean() > 0.005]
    if len(used) < 3:
        return False
    curve = np.array([np.median(some[level == k], axis=0) for k in used])
    share = np.array([(level == k).mean() for k in used])
    brightness = curve @ LUMA
    bent = np.zeros(len(used))
    for channel in curve.T:
        line = np.polyval(np.polyfit(brightness, channel, 1, w=share), brightness)
        bent = np.maximum(bent, np.abs(channel - line))
    return float(share[bent > _BENT].sum()) > _MOST_MARKED


def _beyond_tint(difference: np.ndarray, light: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Deviation of one channel's difference from the luminance from the tint, [row, col], where 1
    is the threshold for a mark; the noise of the difference; and the change of the tint over the
    image.

    The tint is a parabola in the brightness `light` plus one over the image, for uneven
    illumination. Its coefficients minimise the sum of absolute residuals (iteratively reweighted
    least squares), so that marks do not bias the fit, even if they differ in brightness.
    """
    step = tuple(slice(None, None, max(1, n // 256)) for n in light.shape)
    some = difference[step].ravel()
    terms = np.stack([np.broadcast_to(t, light[step].shape).ravel() for t in _terms(light[step])])
    weights, left = np.zeros(len(terms)), some
    for _ in range(12):
        trust = 1 / np.maximum(np.abs(left), 1.0 / 255)
        normal = (terms * trust) @ terms.T + 1e-6 * np.eye(len(terms))
        weights = np.linalg.solve(normal, (terms * trust) @ some)
        left = some - weights @ terms
    noise = 1.4826 * float(np.median(np.abs(left)))
    uneven = float(np.ptp(weights[_ALIKE:] @ terms[_ALIKE:]))
    away = difference.copy()
    for weight, term in zip(weights, _terms(light), strict=True):
        away -= np.float32(weight) * term
    np.abs(away, out=away)
    away *= np.float32(1 / max(_MARK, _NOISE * noise))
    return away, noise, uneven


_ALIKE = 3  # number of leading terms that depend only on the brightness


def _terms(light: np.ndarray) -> Iterator[np.ndarray]:
    """The terms of the tint, each [row, col] or broadcastable to it."""
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in light.shape)
    y = y[:, None]
    yield from (np.ones((1, 1), np.float32), light, light * light, x[None], y)
    yield from (x[None] * x, y * y, x[None] * y)


def _filled(image: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The image with invalid pixels replaced by means of surrounding valid ones."""
    filled, missing = np.where(valid, image, 0).astype(np.float32), ~valid
    source, weight = filled.copy(), valid.astype(np.float32)
    half = 2
    while missing.any() and half < max(image.shape):
        total = ndimage.uniform_filter(weight, 2 * half + 1, mode="constant")
        mean = ndimage.uniform_filter(source, 2 * half + 1, mode="constant")
        known = missing & (total > 0.05)
        filled[known] = mean[known] / total[known]
        missing &= ~known
        half *= 2
    filled[missing] = image[valid].mean()
    return filled
