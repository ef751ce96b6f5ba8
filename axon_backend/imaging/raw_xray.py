"""What a file reader returns, before an X-ray is oriented, cropped and given its polarity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from axon_backend.imaging.view import View

# A chest detector measures 350 to 430 mm; images far outside this carry a meaningless spacing.
FIELD_MM = (120.0, 700.0)
# Ratio of the sides of a pixel from which an image is resampled, and which no detector has.
_SQUARE, _IMPLAUSIBLE = 1.05, 5.0


@dataclass(frozen=True)
class RawXray:
    """Pixels as the file means them to be shown.

    `pixels`: float32 [row, col]; larger = brighter as displayed (or, for raw detector data, more
    attenuation). `polarity_known`: the file says what bright means. `pixel_mm`: (row, col) in the
    patient plane, or None. `view`: from tags, or None. `orientation`: DICOM PatientOrientation
    (direction in which columns grow, direction in which rows grow), or None. `oriented`: the pixels
    were oriented by the file's geometry already. `notes`: assumptions, of which `warnings` are to
    be checked. `sid_mm`: source-to-image distance by the tags, or None. `valid`: [row, col] bool,
    False where something hides the X-ray and its pixels were filled from around; None without any.
    `view_weak`: no tag names the view; it follows from the orientation or a description.
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
    """An image (H, W) with pixels of that size (row, column), in any unit, resampled linearly along
    the coarser axis so that they are square, as whatever judges it by its looks expects. Itself
    where they nearly are, where they are not known, or where no detector has such pixels."""
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
    """The spacing (row, column) in mm that a volume format or a host program states; None where it
    is exactly 1 mm, which stands for an unknown one, or where the image could not show a chest."""
    unit = all(abs(mm - 1.0) < 1e-6 for mm in pixel_mm)
    return None if unit or not is_chest_field(shape, pixel_mm) else pixel_mm


def is_chest_field(shape: tuple[int, ...], pixel_mm: tuple[float, float]) -> bool:
    """Whether an image of (rows, columns) pixels of that size can show a chest (FIELD_MM)."""
    return all(FIELD_MM[0] <= n * mm <= FIELD_MM[1] for n, mm in zip(shape, pixel_mm, strict=True))
