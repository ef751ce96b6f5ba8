"""NIfTI, NRRD and MetaImage files as plain arrays with their geometry in LPS.

NIfTI goes through nibabel, because ITK's reader turns NaN into 0 HU (soft tissue), accepts files
that were cut short, and refuses sheared axes. NRRD and MetaImage go through SimpleITK.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk

from axon_backend.errors import AxonInputError

VOLUME_FILES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class VolumeFile:
    """`voxels`: [..., k, j, i], with the channels as a further last axis when `channels` > 1.

    `affine`: (4, 4), (i, j, k, 1) to LPS millimetres; a flat picture lies in the axial plane.
    """

    voxels: np.ndarray
    affine: np.ndarray
    channels: int = 1
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, ...]:
        """(i, j, k, ...) without channels."""
        shape = self.voxels.shape[:-1] if self.channels > 1 else self.voxels.shape
        return tuple(int(n) for n in shape[::-1])

    @property
    def spacing(self) -> tuple[float, float, float]:
        """(i, j, k) in mm."""
        steps = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(steps[0]), float(steps[1]), float(steps[2])


def load_volume(path: Path) -> VolumeFile:
    """Read the file; raises `AxonInputError` when it is empty, damaged or cut short."""
    if path.stat().st_size == 0:
        raise AxonInputError(f"{path.name} is empty (0 bytes). Copy or export the file again.")
    nifti = path.name.lower().endswith((".nii", ".nii.gz"))
    try:
        return _load_nifti(path) if nifti else _load_itk(path)
    except MemoryError:
        raise
    except Exception as error:  # both libraries and zlib raise many kinds
        raise AxonInputError(
            f"{path.name} could not be read: the file is damaged, cut short or not what its "
            "name says. Copy or export it again."
        ) from error


def _load_nifti(path: Path) -> VolumeFile:
    image = nibabel.load(path)
    channels = len(image.dataobj.dtype.names or "x")  # type: ignore[attr-defined]
    if channels > 1:
        fields = np.asanyarray(image.dataobj)  # type: ignore[attr-defined]
        data = np.stack([fields[name] for name in fields.dtype.names])
    else:
        data = np.asarray(image.dataobj, dtype=np.float32)  # type: ignore[attr-defined]
    header = image.header
    if int(header["qform_code"]) == 0 and int(header["sform_code"]) == 0:  # type: ignore[index]
        zooms = [float(z) for z in header.get_zooms()[:3]]  # type: ignore[attr-defined]
        affine = np.diag([*zooms, *[1.0] * (4 - len(zooms))])
        notes: tuple[str, ...] = (
            "the file states no orientation: its axes are taken as Left, Posterior, Superior",
        )
    else:
        affine, notes = _RAS_TO_LPS @ image.affine, ()  # type: ignore[attr-defined]
    return VolumeFile(data.T, affine, channels, notes)


def _load_itk(path: Path) -> VolumeFile:
    image = sitk.ReadImage(str(path))
    used = min(image.GetDimension(), 3)
    direction = np.reshape(image.GetDirection(), (image.GetDimension(),) * 2)[:used, :used]
    affine = np.eye(4)
    affine[:used, :used] = direction * np.array(image.GetSpacing()[:used])
    affine[:used, 3] = image.GetOrigin()[:used]
    return VolumeFile(sitk.GetArrayFromImage(image), affine, image.GetNumberOfComponentsPerPixel())
