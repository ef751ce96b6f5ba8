"""A rendered X-ray as a file that radiograph readers, AXON's own too, understand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from axon_backend.errors import AxonInputError
from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.imaging.view import View
from axon_backend.imaging.write import VOLUME_SUFFIXES, atomic_path, write_png
from axon_backend.physics.geometry import AcquisitionGeometry

SIZES = (64, 8192)


def check_drr_target(path: str | Path, overwrite: bool, size: int) -> Path:
    """The output path, refused before anything is computed where it cannot be used."""
    target = Path(path)
    if not SIZES[0] <= size <= SIZES[1]:
        raise AxonInputError(
            f"--size is {size} pixels; it is between {SIZES[0]} and {SIZES[1]}, usually 1024."
        )
    if not target.name.lower().endswith((".png", *VOLUME_SUFFIXES)):
        raise AxonInputError(
            f"{target.name} has no ending that a DRR can be written as; use .png, "
            f"{', '.join(VOLUME_SUFFIXES)}."
        )
    if not target.parent.is_dir():
        raise AxonInputError(f"The folder {target.parent} does not exist. Create it first.")
    if target.exists() and (target.is_dir() or not overwrite):
        raise AxonInputError(
            f"{target} exists already. Choose another --output, or add --overwrite."
        )
    return target


def write_drr(target: Path, picture: np.ndarray, frame: ThoraxFrame, view: View) -> str:
    """Write line integrals (S, S) and say in one line what was written.

    PNG: 16 bit, bright = bone, black is no attenuation and white the highest line integral.
    Others: float32 line integrals as one upright plane through the isocentre, in LPS millimetres
    of the CT, so that the picture lies where it belongs beside the CT.
    """
    size = picture.shape[0]
    top = float(picture.max())
    geometry = AcquisitionGeometry.of_frame(frame, view)
    pixel = [extent / size for extent in geometry.extent_mm]
    if target.name.lower().endswith(".png"):
        write_png(target, picture / max(top, 1e-6), bits=16)
    else:
        # Rows run to Inferior, the array's z axis to Superior.
        plane = np.ascontiguousarray(picture[::-1], dtype=np.float32)
        x, y, z = frame.center_mm
        half = [(size - 1) / 2 * p for p in pixel]
        if view.is_frontal:
            image = sitk.GetImageFromArray(plane[:, None, :])
            image.SetSpacing((pixel[0], 1.0, pixel[1]))
            image.SetOrigin((x - half[0], y, z - half[1]))
        else:
            image = sitk.GetImageFromArray(plane[:, :, None])
            image.SetSpacing((1.0, pixel[0], pixel[1]))
            image.SetOrigin((x, y - half[0], z - half[1]))
        with atomic_path(target) as temporary:
            sitk.WriteImage(image, str(temporary), useCompression=not target.name.endswith(".nii"))
    return (
        f"{target}: {view.value} DRR, {size} x {size} pixels of {pixel[1]:.4f} x {pixel[0]:.4f} mm "
        f"(row, column) in the patient plane, highest line integral {top:.3f}"
    )
