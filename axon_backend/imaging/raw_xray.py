"""Result of an X-ray reader, before orientation, cropping and polarity are dealt with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from axon_backend.imaging.view import View

# A chest detector measures 350 to 430 mm; a spacing that gives a size far outside is meaningless.
FIELD_MM = (120.0, 700.0)
# Ratios of a pixel's sides above which an image is resampled, and above which they are implausible.
_SQUARE, _IMPLAUSIBLE = 1.05, 5.0


@dataclass(frozen=True)
class RawXray:
    """Pixels as they are to be shown according to the file.

    `pixels`: float32 [row, col]; larger = brighter as displayed (or, for raw detector data, more
    attenuation). `polarity_known`: the file states the polarity. `pixel_mm`: (row, col) in the
    patient plane, or None. `view`: from tags, or None. `orientation`: DICOM PatientOrientation
    (direction in which columns grow, direction in which rows grow), or None. `oriented`: the pixels
    have already been oriented by the file's geometry. `notes`: assumptions; `warnings`: those that
    the user should check. `sid_mm`: source-to-image distance from tags, or None. `valid`: [row,
    col] bool, False where the X-ray is hidden and its pixels were interpolated from their
    surroundings; None if it is not. `view_weak`: the view is not named by a view tag but follows
    from the orientation or a description.
    """

    pixels: np.ndarray
    polarity_known: bool = False
    pixel_mm: tuple[float, float] | None = None
    view: View | None = None
    orientation: tuple[str, str] | None = None
    oriented: bool = False
    notes: tuple[str, ...] = ()
    sid_mm: float | None = None
    warnings: tuple[str, ...] = ()
    valid: np.ndarray | None = None
    view_weak: bool = False


def in_proportion(pixels: np.ndarray, pixel_mm: tuple[float, float] | None) -> np.ndarray:
    """Resample an image (H, W) with pixels of a size (row, column), in any unit, linearly along the
    coarser axis to square pixels, for methods that depend on proportions. Returns the image itself
    if the pixels are nearly square or their size is unknown or implausible."""
    aspect = 1.0 if pixel_mm is None else pixel_mm[0] / pixel_mm[1]
    if not _SQUARE < max(aspect, 1 / aspect) < _IMPLAUSIBLE:
        return pixels
    rows, columns = pixels.shape
    size = (columns, round(rows * aspect)) if aspect > 1 else (round(columns / aspect), rows)
    image = Image.fromarray(np.ascontiguousarray(pixels, np.float32))
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR))


def stated_size(
    shape: tuple[int, ...], pixel_mm: tuple[float, float]
) -> tuple[float, float] | None:
    """The spacing (row, column) in mm stated by a volume format or a host program; None if it is
    exactly 1 mm, which means unknown, or if the image could not show a chest."""
    unit = all(abs(mm - 1.0) < 1e-6 for mm in pixel_mm)
    return None if unit or not is_chest_field(shape, pixel_mm) else pixel_mm


def is_chest_field(shape: tuple[int, ...], pixel_mm: tuple[float, float]) -> bool:
    """Whether an image of (rows, columns) pixels of that size can show a chest (FIELD_MM)."""
    return all(FIELD_MM[0] <= n * mm <= FIELD_MM[1] for n, mm in zip(shape, pixel_mm, strict=True))
