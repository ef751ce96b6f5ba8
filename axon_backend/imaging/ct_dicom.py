"""Stacking a DICOM CT series into one volume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from textwrap import shorten

import numpy as np
from scipy import ndimage

from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct_series import (
    Slice,
    choice_notes,
    describe_stack,
    find_stacks,
    orientation,
    positions,
    rank_stacks,
)
from axon_backend.imaging.ct_values import to_hounsfield
from axon_backend.imaging.dicom_file import check_pixels, open_dicom, spacing_of
from axon_backend.imaging.dicom_values import padding_mask, rescale_of, stored_values
from axon_backend.imaging.frame import lung_mask
from axon_backend.imaging.grid import AIR_HU
from axon_backend.imaging.header_check import check_volume
from axon_backend.imaging.raw_volume import RawVolume
from axon_backend.util.chatter import no_chatter

_POSITION_TOLERANCE = 0.02  # fraction of a slice step; below this a stack counts as regular
_MAX_FILLED_GAP_MM = 12.0  # a stack with a wider gap is refused
# Minimum volume of air in the lungs of a whole adult chest in litres, the factor by which another
# series must show more, and the voxel size that is fine enough to measure it.
_FULL_LUNGS, _MORE_LUNG, _COARSE_MM = 2.0, 1.5, 4.0
_PADDING_IS_AIR = -500.0  # HU; declared padding below this is not tissue


def read_dicom_series(path: Path) -> RawVolume:
    """Read the chest CT series of a folder (with subfolders), or the series a slice belongs to, as
    float32 after rescale.

    Slices are stacked along their true positions, so a tilted gantry gives a sheared affine.
    Small gaps are filled by interpolation along the stack and recorded; wide ones are refused. If
    the best series according to the headers cannot be stacked, or shows hardly any lung, the next
    best one is read.
    """
    found = find_stacks(path)
    ranked, skipped = rank_stacks(found.usable, path.name), list(found.skipped)
    problems: list[AxonInputError] = []
    best: tuple[float, list[Slice], RawVolume] | None = None
    for group in ranked:
        label = path.name if len(found.usable) == 1 else describe_stack(group)
        try:
            series = stack_series(group, label)
        except AxonInputError as error:
            problems.append(error)
            skipped.append(str(error).partition(". ")[0])
            continue
        litres = _FULL_LUNGS if len(ranked) == 1 else _lung_litres(series)
        if best is None or litres > _MORE_LUNG * best[0] + 0.1:
            if best is not None:
                skipped.append(f"{describe_stack(best[1])} shows little of the lungs")
            best = litres, group, series
        if best[0] >= _FULL_LUNGS:
            break
    if best is None:
        raise problems[0]
    _, group, series = best
    notes = choice_notes(group, found.usable, skipped)
    return replace(series, label=path.name, notes=notes + series.notes)


def _lung_litres(series: RawVolume) -> float:
    """The volume of the lungs in a series in litres; 0 if none are found or it is not in HU."""
    spacing = np.linalg.norm(series.affine[:3, :3], axis=0)
    steps = [max(1, round(_COARSE_MM / mm)) for mm in spacing]
    part = series.voxels[:: steps[2], :: steps[1], :: steps[0]]
    x, y, z = (float(mm * step) for mm, step in zip(spacing, steps, strict=True))
    try:
        mask = lung_mask(to_hounsfield(part, series.label)[0], (x, y, z))
    except AxonInputError:
        return 0.0
    return float(mask.sum()) * x * y * z * 1e-6


def stack_series(group: list[Slice], label: str) -> RawVolume:
    """Stack the slices of one series, sorted along their normal; see `read_dicom_series`."""
    notes: tuple[str, ...] = ()
    header = group[0].header
    if not header.get("PixelSpacing"):
        raise AxonInputError(f"{label} has no PixelSpacing; a CT needs it. Export the CT again.")
    pixel = spacing_of(header)
    if pixel is None:
        raise AxonInputError(
            f"{label} has the PixelSpacing {header.PixelSpacing}; a CT has two positive numbers. "
            "Export the CT again."
        )
    size = tuple(int(n) for n in (header.Columns, header.Rows, len(group)))
    check_volume(group[0].path, size, whole=False)
    planes, read_notes = _read_slices([item.path for item in group])
    notes += read_notes
    at = positions(group)
    row_cosines, column_cosines = orientation(group)
    normal = np.cross(row_cosines, column_cosines)
    depth = at @ normal
    gaps = np.diff(depth)
    step = float(np.median(gaps))
    if np.abs(gaps - step).max() > _POSITION_TOLERANCE * step:
        planes, at, filled = _regular(planes, at, depth, step, label)
        notes += (filled,)
    run = (at[-1] - at[0]) / (len(at) - 1)
    tilt = np.degrees(np.arccos(np.clip(run @ normal / np.linalg.norm(run), -1, 1)))
    if tilt > 45:
        raise AxonInputError(
            f"{label} has slices stacked {tilt:.0f} degrees off their normal; a CT is stacked "
            "along it. Export the series again."
        )
    if tilt > 0.1:
        notes += (f"the slices are tilted by {tilt:.1f} degrees: the shear was undone",)
    affine = np.eye(4)
    # PixelSpacing is (between rows, between columns); i runs along a row.
    affine[:3, 0] = row_cosines * pixel[1]
    affine[:3, 1] = column_cosines * pixel[0]
    affine[:3, 2] = run
    affine[:3, 3] = at[0]
    return RawVolume(planes, affine, notes=notes, label=label)


def _regular(
    planes: np.ndarray, positions: np.ndarray, depth: np.ndarray, step: float, label: str
) -> tuple[np.ndarray, np.ndarray, str]:
    """Interpolate an irregular stack onto equal steps along its depth."""
    gaps = np.diff(depth)
    widest = float(gaps.max())
    if widest > max(_MAX_FILLED_GAP_MM, 1.5 * step):
        at = positions[int(gaps.argmax())][2]
        raise AxonInputError(
            f"{label} has missing slices: a gap of {widest:.1f} mm at z = {at:.1f} mm where slices "
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


def _read_slices(paths: list[Path]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Pixels [k, row, col] float32 after slope and intercept, with padding as air, and notes."""
    first, noted = _read_slice(paths[0])
    planes, notes = np.empty((len(paths), *first.shape), np.float32), list(noted)
    planes[0] = first
    for k, path in enumerate(paths[1:], 1):
        plane, noted = _read_slice(path)
        if plane.shape != first.shape:
            raise AxonInputError(
                f"{path.name} decodes to {plane.shape[0]} x {plane.shape[1]} pixels, other slices "
                f"to {first.shape[0]} x {first.shape[1]}. The file is damaged; copy it again."
            )
        planes[k] = plane
        notes += [note for note in noted if note not in notes]
    return planes, tuple(notes)


def _read_slice(path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Pixels [row, col] float32 after slope and intercept, with padding as air, and notes."""
    try:
        dataset = open_dicom(path)
        check_pixels(dataset, path)
        with no_chatter():
            stored, signs = stored_values(dataset)
    except (AxonInputError, MemoryError):
        raise
    except Exception as error:  # decoders raise many types; all mean that the slice is unreadable
        why = shorten(str(error), 120, placeholder="...")
        raise AxonInputError(
            f"{path.name}: the CT slice could not be decoded ({why}). The file is damaged or cut "
            "short; copy it again."
        ) from error
    if stored.ndim != 2:
        raise AxonInputError(f"{path.name} has {stored.ndim} axes; a CT slice is grey and has 2.")
    slope, intercept, notes = rescale_of(dataset)
    values = stored.astype(np.float32)
    if slope != 1:
        values *= np.float32(slope)
    values += np.float32(intercept)
    mask = padding_mask(dataset, stored)
    if mask.any():
        # Some scanners declare a padding value that also occurs in tissue: it is trusted below the
        # HU of fat, else only where it is connected to the edge of the slice.
        if float(values[mask].max()) >= _PADDING_IS_AIR:
            mask = _joined_to_edge(mask)
        values[mask] = min(AIR_HU, float(values.min()))
    return values, (*signs, *notes)


def _joined_to_edge(mask: np.ndarray) -> np.ndarray:
    """The parts of a mask that touch the edge of the image."""
    parts, _ = ndimage.label(mask)
    edge = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
    return mask & np.isin(parts, np.unique(edge[edge > 0]))
