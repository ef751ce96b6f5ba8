"""The CT of a data set: cubic voxels, cropped around the thorax, integer HU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct import CTVolume, checked_ct
from axon_backend.imaging.ct_dicom import stack_series
from axon_backend.imaging.ct_series import Slice
from axon_backend.imaging.dicom_file import open_dicom
from axon_backend.imaging.frame import ThoraxFrame, lung_mask
from axon_backend.imaging.grid import AIR_HU

# Size of the box that is kept, in sizes of the frame (x, y, z): the beam also crosses arms, breasts
# and back, and widens by a tenth on its way through the chest.
KEPT = (1.6, 1.8, 1.35)
# Frames of 20 chests of adults measured 249 to 357, 202 to 274 and 241 to 336 mm (x, y, z).
FRAME_MM = ((170.0, 480.0), (120.0, 400.0), (170.0, 460.0))
CUT_SHARE = 0.5  # of the largest section; lungs this large at an end of the scan are cut off
_CHECK_MM = 3.0
_HU = (-1024.0, 3071.0)  # twelve bits, as scanners store them; beyond this is only metal


def read_slices(files: Sequence[str], force: bool = False) -> CTVolume:
    """The CT from the DICOM slices of one series, in the order of ``dataset.choose``; ``force`` as
    in ``imaging.ct.read_ct``.

    Raises:
        AxonInputError: a file is damaged, or the slices do not form a volume.
    """
    slices = []
    for path in map(Path, files):
        try:
            slices.append(Slice(path, open_dicom(path, stop_before_pixels=True)))
        except Exception as error:  # pydicom raises many types
            raise AxonInputError(
                f"{path.name} is not a readable DICOM file (damaged or cut short). Copy it again."
            ) from error
    series = stack_series(slices, "the CT")
    return checked_ct(series.voxels, series.affine, series.label, "", series.notes, force=force)


def resampled(ct: CTVolume, voxel_mm: float, motion: np.ndarray | None = None) -> CTVolume:
    """The whole CT with cubic voxels: linear interpolation, after a low-pass along axes whose
    voxels grow.

    ``motion`` (4, 4) first moves the CT rigidly, from a point in LPS mm to its new position; the
    box is unchanged.
    """
    hu = np.asarray(ct.hu, np.float32)
    # Gaussian with the blur of a mean over the new voxel.
    sigma = [
        0.5 * np.sqrt(max(0.0, (voxel_mm / s) ** 2 - 1)) if voxel_mm > 1.05 * s else 0.0
        for s in ct.spacing_mm[::-1]
    ]
    if any(sigma):
        hu = ndimage.gaussian_filter(hu, sigma, mode="nearest", truncate=3.0)
    size = [max(1, round(e / voxel_mm)) for e in ct.size_mm]
    origin = [
        o - s / 2 + (e - n * voxel_mm) / 2 + voxel_mm / 2
        for o, s, e, n in zip(ct.origin_mm, ct.spacing_mm, ct.size_mm, size, strict=True)
    ]
    grid = sitk.Image(*size, sitk.sitkFloat32)
    grid.SetSpacing([voxel_mm] * 3)
    grid.SetOrigin(origin)
    back = sitk.Transform()
    if motion is not None:
        inverse = np.linalg.inv(motion)
        back = sitk.AffineTransform(inverse[:3, :3].ravel().tolist(), inverse[:3, 3].tolist())
    image = CTVolume(hu, ct.spacing_mm, ct.origin_mm).to_sitk()
    new = sitk.Resample(image, grid, back, sitk.sitkLinear, AIR_HU, sitk.sitkFloat32)
    whole = np.rint(np.clip(sitk.GetArrayFromImage(new), *_HU))
    spacing = (voxel_mm, voxel_mm, voxel_mm)
    return CTVolume(whole, spacing, (origin[0], origin[1], origin[2]), ct.source, ct.assumptions)


def cropped(ct: CTVolume, frame: ThoraxFrame) -> CTVolume:
    """The part of the CT in the box of :data:`KEPT` around a frame."""
    keep, origin = [], []
    for axis in range(3):
        half = 0.5 * frame.size_mm[axis] * KEPT[axis]
        first, step = ct.origin_mm[axis], ct.spacing_mm[axis]
        count = ct.hu.shape[2 - axis]
        low = max(0, int(np.floor((frame.center_mm[axis] - half - first) / step)))
        high = min(count, int(np.ceil((frame.center_mm[axis] + half - first) / step)) + 1)
        keep.append(slice(low, high))
        origin.append(first + low * step)
    hu = np.ascontiguousarray(ct.hu[keep[2], keep[1], keep[0]])
    place = (origin[0], origin[1], origin[2])
    return CTVolume(hu, ct.spacing_mm, place, ct.source, ct.assumptions)


def check_chest(ct: CTVolume, frame: ThoraxFrame) -> None:
    """Refuse a CT that does not show a whole chest.

    Raises:
        AxonInputError: the size of the lungs is implausible, or they are cut off at an end.
    """
    for name, size, (least, most) in zip(
        ("wide", "deep", "high"), frame.size_mm, FRAME_MM, strict=True
    ):
        if not least <= size <= most:
            raise AxonInputError(
                f"the box around what looks like lungs is {size:.0f} mm {name}; for a whole chest "
                f"it is {least:.0f} to {most:.0f} mm {name}. Give a CT of the whole chest."
            )
    step = max(1, round(_CHECK_MM / ct.spacing_mm[0]))
    coarse = np.asarray(ct.hu)[::step, ::step, ::step]
    spacing = tuple(step * s for s in ct.spacing_mm)
    try:
        mask = lung_mask(coarse, spacing)  # type: ignore[arg-type]
    except AxonInputError:
        return  # too coarse to tell
    area = mask.sum((1, 2))
    # The opening in `lung_mask` takes two slices at each end.
    for end, edge in (("lower", area[:4]), ("upper", area[-4:])):
        if edge.max() > CUT_SHARE * area.max():
            raise AxonInputError(
                f"the lungs are cut off at the {end} end of the scan. Give a CT of the whole chest."
            )
