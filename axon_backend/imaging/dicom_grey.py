"""From stored DICOM values to grey values linear in attenuation, bright = more attenuation."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from axon_backend.imaging.dicom_file import number_of, text_of
from axon_backend.imaging.dicom_lut import lookup_table
from axon_backend.imaging.dicom_values import has_no_value, padding_mask, rescale_of

_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"  # Digital X-Ray Image Storage - For Processing
_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.1"
# X-Ray Angiographic and X-Ray Radiofluoroscopic Image Storage
_FLUOROSCOPY = ("1.2.840.10008.5.1.4.1.1.12.1", "1.2.840.10008.5.1.4.1.1.12.2")
_LEAST_SHOWN = 0.2  # of the pixels: a window or LUT that leaves fewer of them unclipped is wrong


def log_linear_grey(dataset: Dataset, stored: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Grey float32 [row, col] from stored values, and notes.

    First the modality LUT or rescale is applied. Then:
    - PixelIntensityRelationship LIN of an image that is not for presentation: values are
      proportional to the exposure; Beer-Lambert, -log(I / I_max).
    - LOG of an image for processing: values are log exposure, up to their sign.
    - else (DISP, for presentation, none): VOI LUT or window to display grey in [0, 1], which is
      assumed to be log-linear up to an affine map.
    Polarity: PixelIntensityRelationshipSign (1: larger = more exposure; -1: the reverse) for raw
    data, else MONOCHROME1 or presentation LUT shape INVERSE: larger = darker.
    Broken tables and rescale values are left out, with a note.
    """
    values, notes = _modality_values(dataset, stored)
    padding = padding_mask(dataset, stored)
    valid = values[~padding]
    if valid.size == 0:
        valid = values.ravel()
    low, high = float(valid.min()), float(valid.max())
    relationship = _code(dataset, "PixelIntensityRelationship")
    sign = number_of(dataset, "PixelIntensityRelationshipSign")
    inverse = is_inverse(dataset)
    kind, intent = dataset.get("SOPClassUID"), _code(dataset, "PresentationIntentType")
    raw = intent == "FOR PROCESSING" or (not intent and kind == _FOR_PROCESSING)
    # The relationship of an image for presentation is that of its raw data before processing.
    shown = intent == "FOR PRESENTATION" or (not intent and kind == _FOR_PRESENTATION)
    # Larger value = more photons = less attenuation?
    larger_is_exposed = sign == 1 if sign in (1, -1) else inverse
    if relationship == "LIN" and not shown:
        top = _largest_value(dataset)
        exposure = values if larger_is_exposed else max(top, high) - values
        brightest = float(exposure[~padding].max()) if (~padding).any() else float(exposure.max())
        # One grey level is the least that the detector can distinguish from zero.
        floor = max(brightest / 2.0 ** int(number_of(dataset, "BitsStored") or 16), 1e-12)
        grey = -np.log(np.maximum(exposure, floor) / max(brightest, floor))
        notes += ("linear detector values were turned into -log exposure",)
    elif relationship == "LOG" and raw:
        grey = -values if larger_is_exposed else values
        notes += ("raw detector values are log exposure, as the file states",)
    else:
        grey, voi, left_out = _display_grey(dataset, values, low, high)
        if inverse:
            grey = 1.0 - grey
        notes += (f"display grey ({voi}) is taken as linear in attenuation", *left_out)
    if padding.any() and not padding.all():
        grey[padding] = grey[~padding].min()
    return grey.astype(np.float32), notes


def _code(dataset: Dataset, keyword: str) -> str:
    return text_of(dataset, keyword).upper()


def _modality_values(dataset: Dataset, stored: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Values float64 after the modality LUT or the rescale, and notes."""
    fluoroscopy = dataset.get("SOPClassUID") in _FLUOROSCOPY
    relationship = _code(dataset, "PixelIntensityRelationship")
    if not (fluoroscopy and relationship in ("LOG", "DISP")):
        # For these, the LUT maps back to linear exposure, not to display (PS3.3 C.8.7.1.1.2).
        table, why = lookup_table(dataset, "ModalityLUTSequence")
        if table is not None:
            return table(stored), ()
        if why is not None:
            return stored.astype(np.float64), (f"the modality LUT was left out: {why}",)
    slope, intercept, notes = rescale_of(dataset)
    return stored.astype(np.float64) * slope + intercept, notes


def is_inverse(dataset: Dataset) -> bool:
    """Whether larger values are shown darker.

    MONOCHROME1 and presentation LUT shape INVERSE have the same meaning (PS3.3 C.8.11.3): either
    is sufficient, and both together do not cancel.
    """
    return (
        dataset.get("PhotometricInterpretation") == "MONOCHROME1"
        or _code(dataset, "PresentationLUTShape") == "INVERSE"
    )


def _display_grey(
    dataset: Dataset, values: np.ndarray, low: float, high: float
) -> tuple[np.ndarray, str, tuple[str, ...]]:
    """Display grey in [0, 1] before the photometric inversion, the name of the transform used, and
    notes on what was left out."""
    table, why = lookup_table(dataset, "VOILUTSequence")
    notes: tuple[str, ...] = ()
    if table is not None:
        grey = table(values) / (2.0**table.bits - 1.0)
        if _shows(grey):
            return grey, "VOI LUT", ()
        why = "it blanks the image"
    if why is not None:
        notes = (f"the VOI LUT was left out: {why}",)
    centre, width = (number_of(dataset, f"Window{what}") for what in ("Center", "Width"))
    if centre is None or width is None or width <= 0:
        stated = [t for t in ("WindowCenter", "WindowWidth") if not has_no_value(dataset, t)]
        broken = any(number_of(dataset, tag) is None for tag in stated)
        if broken:
            notes += ("the window in the file does not consist of numbers: it was ignored",)
        return _stretch(values, low, high), "no window", notes
    function = _code(dataset, "VOILUTFunction") or "LINEAR"
    grey = window_grey(values, centre, width, function)
    if _shows(grey):
        return grey, f"window {centre:g}/{width:g}", notes
    blank = f"window {centre:g}/{width:g} ignored as it blanks it"
    return _stretch(values, low, high), blank, notes


def _shows(grey: np.ndarray) -> bool:
    """Whether enough of the image is not clipped; a window from another image, or a table for other
    values, would blank it."""
    return float(((grey > grey.min()) & (grey < grey.max())).mean()) > _LEAST_SHOWN


def window_grey(
    values: np.ndarray, centre: float, width: float, function: str = "LINEAR"
) -> np.ndarray:
    """Apply a VOI window (PS3.3 C.11.2.1.2), to [0, 1]; LINEAR, LINEAR_EXACT or SIGMOID."""
    if function == "SIGMOID":
        return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -500, 500)))
    if function == "LINEAR_EXACT" or width <= 1:
        return np.clip((values - centre) / width + 0.5, 0.0, 1.0)
    return np.clip((values - (centre - 0.5)) / (width - 1.0) + 0.5, 0.0, 1.0)


def _stretch(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip((values - low) / max(high - low, 1e-12), 0.0, 1.0)


def _largest_value(dataset: Dataset) -> float:
    bits = int(number_of(dataset, "BitsStored") or 16)
    signed = number_of(dataset, "PixelRepresentation") == 1
    top = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    slope, intercept, _ = rescale_of(dataset)
    return float(top) * slope + intercept
