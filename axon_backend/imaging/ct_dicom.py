"""Stacking a DICOM CT series into one volume."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

import numpy as np

from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct_series import Slice, choose_series
from axon_backend.imaging.dicom_file import check_pixels, open_dicom
from axon_backend.imaging.grid import AIR_HU
from axon_backend.imaging.header_check import check_volume
from axon_backend.util.chatter import no_chatter

_POSITION_TOLERANCE = 0.02  # part of a slice step; below this a stack counts as regular
_MAX_FILLED_GAP_MM = 12.0  # a wider hole in the stack is not filled but refused


@dataclass(frozen=True)
class DicomSeries:
    """A stacked series: `voxels` [k, j, i] float32 after rescale, `affine` (i, j, k) to LPS mm."""

    voxels: np.ndarray
    affine: np.ndarray
    label: str
    assumptions: tuple[str, ...]


def read_dicom_series(path: Path) -> DicomSeries:
    """Read the chest CT series of a folder (with subfolders), or the series a slice belongs to.

    Slices are stacked along their true positions, so a tilted gantry gives a sheared affine.
    Small holes are filled by interpolation along the stack and recorded; wide ones refused.
    """
    return stack_series(*choose_series(path))


def stack_series(group: list[Slice], label: str, notes: tuple[str, ...] = ()) -> DicomSeries:
    """Stack the slices of one series, sorted along their normal; see `read_dicom_series`."""
    header = group[0].header
    if not header.get("PixelSpacing"):
        raise AxonInputError(f"{label} has no PixelSpacing, a CT needs it. Export the CT again.")
    pixel = np.array(header.PixelSpacing, float)
    if pixel.shape != (2,) or not np.isfinite(pixel).all() or pixel.min() <= 0:
        raise AxonInputError(
            f"{label} has the PixelSpacing {header.PixelSpacing}; a CT has two positive numbers. "
            "Export the CT again."
        )
    size = tuple(int(n) for n in (header.Columns, header.Rows, len(group)))
    check_volume(group[0].path, size, whole=False)
    planes = np.stack([_read_slice(item.path) for item in group])
    positions = np.array([np.array(s.header.ImagePositionPatient, float) for s in group])
    row_cosines, column_cosines = np.array(header.ImageOrientationPatient, float).reshape(2, 3)
    depth = positions @ np.cross(row_cosines, column_cosines)
    gaps = np.diff(depth)
    step = float(np.median(gaps))
    if np.abs(gaps - step).max() > _POSITION_TOLERANCE * step:
        planes, positions, filled = _regular(planes, positions, depth, step, label)
        notes += (filled,)
    run = (positions[-1] - positions[0]) / (len(positions) - 1)
    normal = np.cross(row_cosines, column_cosines)
    tilt = np.degrees(np.arccos(np.clip(run @ normal / np.linalg.norm(run), -1, 1)))
    if tilt > 45:
        raise AxonInputError(
            f"{label} has slices stacked {tilt:.0f} degrees off their normal, a CT is stacked "
            "along it. Export the series again."
        )
    if tilt > 0.1:
        notes += (f"the slices are tilted by {tilt:.1f} degrees: the shear was undone",)
    affine = np.eye(4)
    # PixelSpacing is (between rows, between columns); i runs along a row.
    affine[:3, 0] = row_cosines * pixel[1]
    affine[:3, 1] = column_cosines * pixel[0]
    affine[:3, 2] = run
    affine[:3, 3] = positions[0]
    return DicomSeries(planes, affine, label, notes)


def _regular(
    planes: np.ndarray, positions: np.ndarray, depth: np.ndarray, step: float, label: str
) -> tuple[np.ndarray, np.ndarray, str]:
    """Interpolate an irregular stack onto equal steps along its depth."""
    gaps = np.diff(depth)
    widest = float(gaps.max())
    if widest > max(_MAX_FILLED_GAP_MM, 1.5 * step):
        at = positions[int(gaps.argmax())][2]
        raise AxonInputError(
            f"{label} lacks slices: a hole of {widest:.1f} mm at z = {at:.1f} mm where slices "
            f"are {step:.2f} mm apart. Copy the complete series."
        )
    count = round((depth[-1] - depth[0]) / step) + 1
    wanted = np.linspace(depth[0], depth[-1], count)
    after = np.clip(np.searchsorted(depth, wanted), 1, len(depth) - 1)
    weight = (wanted - depth[after - 1]) / (depth[after] - depth[after - 1])
    filled = np.empty((count, *planes.shape[1:]), np.float32)
    for k, (a, w) in enumerate(zip(after, weight.astype(np.float32), strict=True)):
        filled[k] = (1 - w) * planes[a - 1] + w * planes[a]
    places = positions[after - 1] + weight[:, None] * (positions[after] - positions[after - 1])
    missing = int(sum(round(g / step) - 1 for g in gaps if g > 1.5 * step))
    what = (
        f"{missing} missing slice{'s' if missing > 1 else ''}" if missing else "unequal slice steps"
    )
    return filled, places, f"{what} (widest step {widest:.1f} mm): filled by interpolation"


def _read_slice(path: Path) -> np.ndarray:
    """Pixels [row, col] float32 after slope and intercept; padding becomes air."""
    try:
        dataset = open_dicom(path)
        check_pixels(dataset, path)
        with no_chatter():
            stored = dataset.pixel_array
    except (AxonInputError, MemoryError):
        raise
    except Exception as error:  # decoders raise many kinds; all mean the slice is unreadable
        why = shorten(str(error), 120, placeholder="...")
        raise AxonInputError(
            f"{path.name}: the CT slice could not be decoded ({why}). The file is damaged or cut "
            "short; copy it again."
        ) from error
    if stored.ndim != 2:
        raise AxonInputError(f"{path.name} has {stored.ndim} axes, a CT slice is grey and has 2.")
    slope = float(dataset.get("RescaleSlope") or 1.0)
    values = stored.astype(np.float32) * slope + float(dataset.get("RescaleIntercept") or 0.0)
    padding = dataset.get("PixelPaddingValue")
    # Some scanners declare a padding that is also a tissue value; trust it only below fat.
    if padding is not None and isinstance(padding, int):
        mask = stored == padding
        if mask.any() and float(values[mask][0]) < -500:
            values[mask] = min(AIR_HU, float(values.min()))
    return values
