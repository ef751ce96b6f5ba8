"""X-rays kept in research formats: NIfTI, NRRD, MetaImage."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from axon_backend.errors import AxonInputError
from axon_backend.imaging.grid import to_lps_grid
from axon_backend.imaging.picture import FIELD_MM, NO_PIXEL_SIZE, grey_of_colour
from axon_backend.imaging.raw_xray import RawXray
from axon_backend.imaging.volume_file import load_volume


def read_flat_volume(path: Path) -> RawXray:
    """Read an X-ray kept as NIfTI, NRRD or MetaImage: 2-D, or 3-D with one voxel along an axis.

    A plane that stands upright in the patient (coronal, sagittal) is turned by its geometry; one
    that lies in the axial plane (what converters make of pictures) is taken as rows and columns.
    """
    file = load_volume(path)
    array, size, spacing, notes = file.voxels, file.size, file.spacing, list(file.notes)
    if file.channels > 1:
        if array.dtype != np.uint8:
            raise AxonInputError(
                f"{path.name} has {file.channels} values a pixel, an X-ray has one. "
                "Export the grey X-ray."
            )
        array, grey_notes = grey_of_colour(array / np.float32(255), path.name)
        notes += grey_notes
    if len(size) > 3 and all(n == 1 for n in size[3:]):
        size = size[:3]
        array = array.reshape(size[::-1])
    if len(size) > 3 or (len(size) == 3 and min(size) > 1):
        raise AxonInputError(
            f"{path.name} is a volume of {' x '.join(map(str, size))} voxels, an X-ray is flat. "
            "If it is a CT, give it as the CT; to make an X-ray of it, render a DRR."
        )
    if len(size) == 3:
        turned, lps_spacing, _, resampled = to_lps_grid(array, file.affine)
        if not resampled and turned.shape[0] > 1:
            # z grows to Superior: the first row of the display is the last z.
            frontal = turned.shape[1] == 1
            plane = turned[::-1, 0, :] if frontal else turned[::-1, :, 0]
            size_mm = (lps_spacing[2], lps_spacing[0 if frontal else 1])
            return _with_size(plane, size_mm, [*notes, "turned as the file's geometry says"])
    flat = tuple(n for n in size if n > 1)
    if len(flat) != 2:
        raise AxonInputError(f"{path.name} is a line of {size} pixels, an X-ray is a picture.")
    steps = [mm for mm, n in zip(spacing, size, strict=False) if n > 1]
    notes.append("the file states no upright orientation: rows are taken top to bottom as stored")
    return _with_size(array.reshape(flat[::-1]), (steps[1], steps[0]), notes)


def _with_size(pixels: np.ndarray, pixel_mm: tuple[float, float], notes: list[str]) -> RawXray:
    field = [n * mm for n, mm in zip(pixels.shape, pixel_mm, strict=True)]
    unit = all(abs(mm - 1.0) < 1e-6 for mm in pixel_mm)
    trusted = not unit and all(FIELD_MM[0] <= f <= FIELD_MM[1] for f in field)
    if trusted:
        notes = [*notes, "the file's spacing is taken as millimetres in the patient plane"]
    else:
        notes = [*notes, NO_PIXEL_SIZE]
    size = (float(pixel_mm[0]), float(pixel_mm[1])) if trusted else None
    return RawXray(
        np.ascontiguousarray(pixels, dtype=np.float32), pixel_mm=size, notes=tuple(notes)
    )
