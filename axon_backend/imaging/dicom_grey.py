"""From stored DICOM values to grey that is linear in attenuation, bright = more attenuation."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi

_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"  # Digital X-Ray Image Storage - For Processing


def log_linear_grey(dataset: Dataset, stored: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Grey float32 [row, col] from stored values, and notes.

    Modality LUT or rescale first. Then:
    - PixelIntensityRelationship LIN: values count photons; Beer-Lambert, -log(I / I_max).
    - LOG of an image for processing: values are log exposure, up to their sign.
    - else (DISP, for presentation, none): VOI LUT or window to display grey in [0, 1], which is
      taken as log-linear up to an affine map.
    Polarity: PixelIntensityRelationshipSign (1: larger = more exposure; -1: the reverse) for raw
    data, else MONOCHROME1 or presentation LUT shape INVERSE: larger = darker.
    """
    values = np.asarray(apply_modality_lut(stored, dataset), dtype=np.float64)
    padding = _padding_mask(dataset, stored)
    valid = values[~padding]
    if valid.size == 0:
        valid = values.ravel()
    low, high = float(valid.min()), float(valid.max())
    relationship = str(dataset.get("PixelIntensityRelationship") or "").upper()
    sign = dataset.get("PixelIntensityRelationshipSign")
    inverse = is_inverse(dataset)
    raw = (
        str(dataset.get("PresentationIntentType") or "").upper() == "FOR PROCESSING"
        or dataset.get("SOPClassUID") == _FOR_PROCESSING
    )
    # Larger value = more photons = less attenuation?
    larger_is_exposed = int(sign) == 1 if sign in (1, -1) else inverse
    if relationship == "LIN":
        top = _largest_value(dataset)
        exposure = values if larger_is_exposed else max(top, high) - values
        brightest = float(exposure[~padding].max()) if (~padding).any() else float(exposure.max())
        # One grey level is the least that the detector can distinguish from zero.
        floor = max(brightest / 2.0 ** int(dataset.get("BitsStored") or 16), 1e-12)
        grey = -np.log(np.maximum(exposure, floor) / max(brightest, floor))
        notes = ("linear detector values were turned into -log exposure",)
    elif relationship == "LOG" and raw:
        grey = -values if larger_is_exposed else values
        notes = ("raw detector values are log exposure, as the file says",)
    else:
        grey, voi = _display_grey(dataset, values, low, high)
        if inverse:
            grey = 1.0 - grey
        notes = (f"display grey ({voi}) is taken as linear in attenuation",)
    if padding.any() and not padding.all():
        grey[padding] = grey[~padding].min()
    return grey.astype(np.float32), notes


def is_inverse(dataset: Dataset) -> bool:
    """Whether larger values are shown darker.

    MONOCHROME1 and presentation LUT shape INVERSE state the same (PS3.3 C.8.11.3): either is
    enough, and both together do not cancel.
    """
    return (
        dataset.get("PhotometricInterpretation") == "MONOCHROME1"
        or str(dataset.get("PresentationLUTShape") or "").upper() == "INVERSE"
    )


def _display_grey(
    dataset: Dataset, values: np.ndarray, low: float, high: float
) -> tuple[np.ndarray, str]:
    """Display grey in [0, 1] before the photometric inversion, and which transform was used."""
    if dataset.get("VOILUTSequence"):
        item = dataset.VOILUTSequence[0]
        integers = np.rint(values).astype(np.int32)
        mapped = apply_voi(integers, dataset).astype(np.float64)
        return mapped / (2.0 ** int(item.LUTDescriptor[2]) - 1.0), "VOI LUT"
    centre, width = _first(dataset.get("WindowCenter")), _first(dataset.get("WindowWidth"))
    if centre is not None and width is not None and width > 0:
        function = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
        grey = window_grey(values, centre, width, function)
        # A window left over from another image would blank this one.
        inside = (grey > 0.0) & (grey < 1.0)
        if float(inside.mean()) > 0.2:
            return grey, f"window {centre:g}/{width:g}"
        return _stretch(values, low, high), f"window {centre:g}/{width:g} ignored as it blanks it"
    return _stretch(values, low, high), "no window"


def window_grey(
    values: np.ndarray, centre: float, width: float, function: str = "LINEAR"
) -> np.ndarray:
    """VOI window (PS3.3 C.11.2.1.2) from values to [0, 1]; LINEAR, LINEAR_EXACT or SIGMOID."""
    if function == "SIGMOID":
        return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -500, 500)))
    if function == "LINEAR_EXACT" or width <= 1:
        return np.clip((values - centre) / width + 0.5, 0.0, 1.0)
    return np.clip((values - (centre - 0.5)) / (width - 1.0) + 0.5, 0.0, 1.0)


def _stretch(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip((values - low) / max(high - low, 1e-12), 0.0, 1.0)


def _first(value: object) -> float | None:
    if value is None or value == "":
        return None
    if isinstance(value, (list, tuple)) or hasattr(value, "append"):
        return float(value[0]) if len(value) else None  # type: ignore[index, arg-type]
    return float(value)  # type: ignore[arg-type]


def _largest_value(dataset: Dataset) -> float:
    bits = int(dataset.get("BitsStored") or 16)
    signed = int(dataset.get("PixelRepresentation") or 0) == 1
    top = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    return float(top) * float(dataset.get("RescaleSlope") or 1) + float(
        dataset.get("RescaleIntercept") or 0
    )


def _padding_mask(dataset: Dataset, stored: np.ndarray) -> np.ndarray:
    """Pixels outside the exposed field, by PixelPaddingValue and its range limit."""
    value = dataset.get("PixelPaddingValue")
    if not isinstance(value, int):
        return np.zeros(stored.shape, dtype=bool)
    limit = dataset.get("PixelPaddingRangeLimit")
    other = limit if isinstance(limit, int) else value
    return (stored >= min(value, other)) & (stored <= max(value, other))
