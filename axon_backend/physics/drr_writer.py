"""Writing of DRRs in formats that radiograph readers, including AXON's own, can read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from axon_backend.errors import AxonInputError
from axon_backend.imaging.view import View
from axon_backend.imaging.write import (
    PNG_LEVEL,
    RESEARCH_NOTE,
    VOLUME_SUFFIXES,
    atomic_path,
    write_image,
)
from axon_backend.physics.geometry import AcquisitionGeometry

SIZES = (64, 8192)
DICOM_SUFFIXES = (".dcm", ".dicom")


def check_drr_target(path: str | Path, overwrite: bool) -> Path:
    """Check the output path before anything is computed, and return it.

    Raises:
        AxonInputError: the format is unknown, the folder is missing, or the file or its sidecar
            already exists.
    """
    target = Path(path)
    if not target.name.lower().endswith((".png", *DICOM_SUFFIXES, *VOLUME_SUFFIXES)):
        raise AxonInputError(
            f"{target.name} does not have the extension of a format for DRRs; use .png, .dcm, "
            f"{', '.join(VOLUME_SUFFIXES)}."
        )
    if not target.parent.is_dir():
        raise AxonInputError(f"The folder {target.parent} does not exist. Create it first.")
    for file in (target, sidecar_of(target)):
        if file.exists() and (file.is_dir() or not overwrite):
            raise AxonInputError(
                f"{file} already exists. Choose another --output, or add --overwrite."
            )
    return target


def sidecar_of(target: Path) -> Path:
    """The JSON file beside a DRR: pa.dcm.json for pa.dcm, since there may also be a pa.png."""
    return target.with_name(f"{target.name}.json")


def check_size(height: int, width: int) -> None:
    """Raise AxonInputError if the image would be unreasonably small or large."""
    if not all(SIZES[0] <= n <= SIZES[1] for n in (height, width)):
        raise AxonInputError(
            f"The image would have {height} x {width} pixels; each side must have {SIZES[0]} to "
            f"{SIZES[1]}, usually 1024. Change --pixel or --detector."
        )


def write_drr_png(target: Path, image: np.ndarray) -> None:
    """Write a 16-bit PNG with bright bones; black is 0, white the maximum."""
    scaled = np.clip(image / max(float(image.max()), 1e-6), 0, 1)
    note = PngInfo()
    note.add_text("Description", f"Digitally reconstructed radiograph. {RESEARCH_NOTE}")
    with atomic_path(target) as temporary:
        Image.fromarray(np.rint(scaled * 65535).astype(np.uint16)).save(
            temporary, format="PNG", pnginfo=note, compress_level=PNG_LEVEL
        )


def write_drr_volume(
    target: Path, image: np.ndarray, geometry: AcquisitionGeometry, view: View
) -> None:
    """Write (H, W) float32 as one upright plane through the isocentre, in the CT's LPS
    millimetres, so that viewers show it in register with the CT."""
    import SimpleITK as sitk

    height, width = image.shape
    pixel = (geometry.extent_mm[0] / width, geometry.extent_mm[1] / height)
    # Rows run to Inferior, the array's slowest axis to Superior.
    plane = np.ascontiguousarray(image[::-1], dtype=np.float32)
    across, up = np.asarray(geometry.column), -np.asarray(geometry.row)
    corner = np.asarray(geometry.isocentre_mm)
    corner = corner - (width - 1) / 2 * pixel[0] * across - (height - 1) / 2 * pixel[1] * up
    if view.is_frontal:
        itk_image = sitk.GetImageFromArray(plane[:, None, :])
        itk_image.SetSpacing((pixel[0], 1.0, pixel[1]))
        axes = (across, np.cross(up, across), up)
    else:
        itk_image = sitk.GetImageFromArray(plane[:, :, None])
        itk_image.SetSpacing((1.0, pixel[0], pixel[1]))
        axes = (np.cross(across, up), across, up)
    itk_image.SetOrigin(corner.tolist())
    itk_image.SetDirection(np.stack(axes, 1).ravel().tolist())
    itk_image.SetMetaData("ITK_FileNotes", RESEARCH_NOTE)
    itk_image.SetMetaData("description", RESEARCH_NOTE)
    with atomic_path(target) as temporary:
        write_image(itk_image, temporary)
