"""X-rays stored in volume formats, such as NIfTI, NRRD and MetaImage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from axon_backend.errors import AxonInputError
from axon_backend.imaging.colour import GreyImage, grey_of_colour
from axon_backend.imaging.image_file import LINEAR_GREY, NO_PIXEL_SIZE
from axon_backend.imaging.raw_xray import RawXray, stated_size
from axon_backend.imaging.view import OBLIQUE_DEG, View
from axon_backend.imaging.volume_file import load_volume

# A plane whose steeper axis has a smaller component along the body than this counts as axial.
_UPRIGHT = np.sin(np.radians(45.0))


def read_flat_volume(path: Path, view: View | None = None) -> RawXray:
    """Read an X-ray stored as a volume: 2-D, or 3-D with one voxel along an axis.

    An upright plane (coronal, sagittal) is oriented by its geometry; one in the axial plane (where
    converters put images) is read as rows and columns.

    `view`: stated by the user; with it, an oblique plane is accepted. Raises `AxonInputError` for
    anything except one flat grey image, and for an oblique view.
    """
    file = load_volume(path)
    array, size, spacing, notes = file.voxels, file.size, file.spacing, list(file.notes)
    valid: np.ndarray | None = None
    warnings: tuple[str, ...] = ()
    if file.channels > 1:
        if array.dtype != np.uint8:
            raise AxonInputError(
                f"{path.name} has {file.channels} values per pixel; an X-ray has one. "
                "Export the grey X-ray."
            )
        colour = _grey(array, path.name)
        array, valid, warnings = colour.pixels, colour.valid, colour.warnings
        notes += colour.notes
    if len(size) > 3 and all(n == 1 for n in size[3:]):
        size = size[:3]
        array = array.reshape(size[::-1])
        valid = None if valid is None else valid.reshape(size[::-1])
    if len(size) > 3 or (len(size) == 3 and min(size) > 1):
        raise AxonInputError(
            f"{path.name} is a volume of {' x '.join(map(str, size))} voxels; an X-ray is flat. "
            "If it is a CT, give it as the CT; to make an X-ray of it, render a DRR."
        )
    if len(size) == 3 and sum(n > 1 for n in size) == 2:
        upright = upright_plane(array, file.affine, path.name, view)
        if upright is not None:
            plane, size_mm, seen = upright
            raw = _with_size(plane, size_mm, [*notes, "rotated by the file's geometry"], seen)
            if valid is not None:
                hidden = upright_plane(valid, file.affine, path.name, view)
                valid = None if hidden is None else np.ascontiguousarray(hidden[0])
            return replace(raw, oriented=True, valid=valid, warnings=warnings)
    flat = tuple(n for n in size if n > 1)
    if len(flat) != 2:
        raise AxonInputError(
            f"{path.name} is a line of {size} pixels; an X-ray has rows and columns."
        )
    steps = [mm for mm, n in zip(spacing, size, strict=False) if n > 1]
    notes.append("the file states no upright orientation: rows are taken top to bottom as stored")
    raw = _with_size(array.reshape(flat[::-1]), (steps[1], steps[0]), notes)
    valid = None if valid is None else valid.reshape(flat[::-1])
    return replace(raw, valid=valid, warnings=warnings)


def _grey(array: np.ndarray, name: str) -> GreyImage:
    """The grey image of a uint8 array [..., channel], with the shape [...]; a volume is refused
    later."""
    shape = array.shape[:-1]
    flat = tuple(n for n in shape if n > 1)
    if len(flat) != 2:
        return GreyImage(array[..., 0])
    grey = grey_of_colour(array.reshape(*flat, -1) / np.float32(255), name)
    valid = None if grey.valid is None else grey.valid.reshape(shape)
    return replace(grey, pixels=grey.pixels.reshape(shape), valid=valid)


def upright_plane(
    array: np.ndarray, affine: np.ndarray, name: str, view: View | None
) -> tuple[np.ndarray, tuple[float, float], View | None] | None:
    """An upright plane in display orientation: head up, Right or Anterior on the left.

    Args:
        array: [k, j, i], one voxel along one axis.
        affine: (4, 4), (i, j, k, 1) to LPS millimetres; any orientation.
        name: name for messages.
        view: the view stated by the user, or None.

    Returns:
        Pixels [row, column], their size (row, column) in mm, and the view implied by the plane;
        None for an axial plane. A coronal plane does not determine the direction of the beam: its
        view is None, which is read as PA. A sagittal plane is assumed to be a left lateral.

    Raises:
        AxonInputError: the plane is oblique and no view is stated.
    """
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    directions = affine[:3, :3] / steps
    along = [axis for axis, n in enumerate(array.shape[::-1]) if n > 1]
    up, across = sorted(along, key=lambda axis: -abs(directions[2, axis]))
    level = np.abs(directions[:2, across])
    if abs(directions[2, up]) < _UPRIGHT or np.hypot(*level) < _UPRIGHT:
        return None
    # Rotation from front or side, and tilt from the vertical, in degrees.
    turned = float(np.degrees(np.arctan2(level.min(), level.max())))
    normal = np.cross(directions[:, across], directions[:, up])
    tilted = float(np.degrees(np.arctan2(abs(normal[2]), np.hypot(*normal[:2]))))
    if max(turned, tilted) > OBLIQUE_DEG + 1e-3 and view is None:
        raise AxonInputError(
            f"{name} shows an oblique view, by its geometry {max(turned, tilted):.0f} degrees from "
            "front and side; a frontal (PA, AP) or lateral (LL, RL) X-ray is expected. Give such "
            "an X-ray, or state the view if the geometry is wrong."
        )
    frontal = bool(level[0] >= level[1])
    if view is not None and turned > OBLIQUE_DEG:
        frontal = view.is_frontal
    # [k, j, i]: numpy axis of voxel axis a is 2 - a. Rows run down, columns to Left or Posterior.
    plane = np.moveaxis(array, (2 - up, 2 - across), (0, 1))[..., 0]
    if directions[2, up] > 0:
        plane = plane[::-1]
    if directions[0 if frontal else 1, across] < 0:
        plane = plane[:, ::-1]
    seen = None if frontal else View.lateral_left
    return plane, (float(steps[up]), float(steps[across])), seen


def _with_size(
    pixels: np.ndarray,
    pixel_mm: tuple[float, float],
    notes: list[str],
    view: View | None = None,
) -> RawXray:
    size = stated_size(pixels.shape, (float(pixel_mm[0]), float(pixel_mm[1])))
    if size is not None:
        notes = [*notes, "the file's spacing is taken as millimetres in the patient plane"]
    else:
        notes = [*notes, NO_PIXEL_SIZE]
    return RawXray(
        np.ascontiguousarray(pixels, dtype=np.float32),
        pixel_mm=size,
        view=view,
        notes=(*notes, LINEAR_GREY),
    )
