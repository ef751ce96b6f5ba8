"""Reading a chest CT, from a DICOM folder or a file, to HU in LPS millimetres."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct_orientation import recognise_ct
from axon_backend.imaging.ct_values import to_hounsfield
from axon_backend.imaging.formats import find_format, list_formats, volume_formats
from axon_backend.imaging.formats.dicom import read_volume as read_dicom_series
from axon_backend.imaging.grid import AIR_HU, Triple, to_lps_grid
from axon_backend.imaging.packed import refuse_packed
from axon_backend.imaging.raw_volume import RawVolume
from axon_backend.imaging.volume_file import load_volume
from axon_backend.util.input_file import exists

if TYPE_CHECKING:  # 100 MB; imported where it is used
    import SimpleITK as sitk

MIN_VOXELS = 16  # along each axis; fewer cannot show a lung
MAX_EXTENT_MM = 2500.0  # longer than any whole-body scan
MIN_EXTENT_MM = 80.0  # the lungs of a small adult are about 200 mm in each direction


@dataclass(frozen=True)
class CTVolume:
    """A CT in the project's axis order.

    `hu`: float32 [z, y, x]; z index grows to Superior, y to Posterior, x to Left.
    `spacing_mm`, `origin_mm`: (x, y, z); origin is the LPS point of the centre of voxel (0, 0, 0).
    `source`: the file or folder. `assumptions`: what was assumed, in plain sentences.
    `is_atlas`: it is a bundle's mean of many patients, not one patient's CT.
    `warnings`: the assumptions that the user should check. `looks`: the apparent orientation, such
    as ``upside down``, if the voxels contradict the header with certainty; registration to such a
    CT is refused (see `require_upright`). Empty if they agree, or if the user overrides it.
    """

    hu: np.ndarray
    spacing_mm: Triple
    origin_mm: Triple
    source: str = ""
    assumptions: tuple[str, ...] = ()
    is_atlas: bool = False
    warnings: tuple[str, ...] = ()
    looks: str = ""

    @property
    def size_mm(self) -> Triple:
        """Full extent (x, y, z) in mm, outer edge to outer edge."""
        z, y, x = self.hu.shape
        sx, sy, sz = self.spacing_mm
        return x * sx, y * sy, z * sz

    @classmethod
    def from_affine(
        cls,
        voxels: np.ndarray,
        affine: np.ndarray,
        source: str = "",
        assumptions: tuple[str, ...] = (),
    ) -> CTVolume:
        """From voxels [k, j, i] in HU and the (4, 4) map of (i, j, k) to LPS millimetres."""
        fill = min(AIR_HU, float(voxels.min()))
        array, spacing, origin, resampled = to_lps_grid(voxels, affine, fill)
        if resampled:
            assumptions += (
                "the scan is oblique or tilted to the body axes: it was resampled to them",
            )
        return cls(array, spacing, origin, source, assumptions)

    def to_sitk(self) -> sitk.Image:
        """As a SimpleITK float32 image with identity direction (LPS)."""
        import SimpleITK as sitk

        image = sitk.GetImageFromArray(np.ascontiguousarray(self.hu, dtype=np.float32))
        image.SetSpacing(self.spacing_mm)
        image.SetOrigin(self.origin_mm)
        return image


def require_upright(ct: CTVolume) -> None:
    """Refuse a CT whose voxels contradict its header.

    Raises:
        AxonInputError: the message states the apparent orientation.
    """
    if ct.looks:
        raise AxonInputError(
            f"{Path(ct.source).name or 'The CT'} is {ct.looks} by its voxels: its header states "
            "the wrong orientation. Correct it or export the CT again, or use it as it is: with "
            '--force ct, or "force" in a manifest.'
        )


def read_ct(path: str | os.PathLike[str], *, force: bool = False) -> CTVolume:
    """Read a chest CT.

    `path` is a file of a registered format for volumes (`imaging.formats`), a folder with DICOM
    files (including subfolders; the chest series is chosen and named in `assumptions`), or one
    DICOM slice (its series is then read from the slice's folder). `force` = True takes the
    orientation from the header, whatever the CT looks like.

    Raises `AxonInputError`, which states what was found and how to proceed, for anything that is
    not one 3-D chest CT in HU.
    """
    source = Path(path)
    if not exists(path):
        raise AxonInputError(f"{source} does not exist. Check the path of the CT.")
    file = read_dicom_series(source) if source.is_dir() else _read_volume_file(source)
    label = file.label or source.name
    return checked_ct(file.voxels, file.affine, label, str(source), file.notes, force=force)


def checked_ct(
    voxels: np.ndarray,
    affine: np.ndarray,
    label: str,
    source: str = "",
    assumptions: tuple[str, ...] = (),
    *,
    force: bool = False,
) -> CTVolume:
    """A CT from voxels [k, j, i] and the (4, 4) map of (i, j, k) to LPS mm; `force`: see `read_ct`.

    Raises `AxonInputError`, with `label` in the message, for anything that is not one 3-D chest CT
    in HU.
    """
    _check_shape(label, voxels, affine)
    voxels, notes = to_hounsfield(voxels, label)
    ct = CTVolume.from_affine(voxels, affine, source, assumptions + notes)
    found = recognise_ct(ct.hu, ct.spacing_mm)
    if found.looks is None:
        return ct
    note = f"the CT looks {found.looks}, although its header states otherwise"
    note += ": it was used as requested" if force else ": check its orientation"
    looks = found.looks if found.confirmed and not force else ""
    return replace(ct, assumptions=(*ct.assumptions, note), warnings=(note,), looks=looks)


def _read_volume_file(path: Path) -> RawVolume:
    """Read a file with one scalar 3-D image, or the DICOM series that it belongs to."""
    if path.stat().st_size > 0:
        format = find_format(path)
        known = f"a folder of DICOM slices, or a file as {list_formats(volume_formats())}"
        if format is None:
            refuse_packed(path, known)
            raise AxonInputError(f"{path.name} is not a CT in a known format. Give {known}.")
        if format.read_volume is None:
            raise AxonInputError(
                f"{path.name} is a flat image; a CT is a volume. Give {known}; if it is an X-ray, "
                "give it as the X-ray."
            )
    file = load_volume(path)
    if file.channels != 1:
        raise AxonInputError(
            f"{path.name} has {file.channels} values per voxel (colour or vectors); a CT has one. "
            "Export the CT itself, not a rendering of it."
        )
    size = file.size
    if len(size) > 3 and all(n == 1 for n in size[3:]):
        size = size[:3]
    if len(size) > 3:
        raise AxonInputError(
            f"{path.name} has {len(size)} dimensions {size}; a CT has 3. "
            "Extract one time point first."
        )
    if len(size) < 3:
        raise AxonInputError(
            f"{path.name} is a flat image {size}; a CT is a volume. "
            "If it is an X-ray, give it as the X-ray."
        )
    return replace(file, voxels=file.voxels.reshape(size[::-1]))


def _check_shape(label: str, voxels: np.ndarray, affine: np.ndarray) -> None:
    size = voxels.shape[::-1]
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    if min(size) == 1:
        raise AxonInputError(
            f"{label} has a single slice {size}; a CT has many. Give the folder with all slices."
        )
    if min(size) < MIN_VOXELS:
        raise AxonInputError(
            f"{label} is too small: {size} voxels, at least {MIN_VOXELS} along each axis are "
            "needed. Give the whole chest CT."
        )
    if not np.isfinite(affine).all() or steps.min() <= 0 or abs(np.linalg.det(affine)) < 1e-9:
        raise AxonInputError(
            f"{label} has no usable geometry (spacing {steps.round(4).tolist()} mm). "
            "Export it again with its spacing and orientation."
        )
    extent = steps * size
    if extent.max() > MAX_EXTENT_MM:
        raise AxonInputError(
            f"{label} would be {extent.max():.0f} mm long by its spacing; a scan is at most "
            f"{MAX_EXTENT_MM:.0f} mm. Export it again with its true spacing in millimetres."
        )
    if extent.min() < MIN_EXTENT_MM:
        raise AxonInputError(
            f"{label} covers only {' x '.join(f'{e:.0f}' for e in extent)} mm; a chest needs at "
            f"least {MIN_EXTENT_MM:.0f} mm each way. Give the whole chest, with its true spacing."
        )
