"""Voxel grids: bring any volume to the project's axis order [z, y, x] in LPS millimetres."""

from __future__ import annotations

import itertools

import numpy as np
from scipy import ndimage

from axon_backend.errors import AxonInputError

AIR_HU = -1024.0
# A grid whose axes are off by less than this (radians, 0.06 degrees) counts as axis-aligned:
# over a 400 mm thorax the error at the edge is 0.2 mm.
ALIGNED_TOLERANCE = 1e-3
# An upright box around an oblique one has up to about five times its voxels.
_MOST_GROWTH = 10

Triple = tuple[float, float, float]


def to_lps_grid(
    voxels: np.ndarray, affine: np.ndarray, fill: float = AIR_HU
) -> tuple[np.ndarray, Triple, Triple, bool]:
    """Reorient, and if needed resample, a volume to an axis-aligned LPS grid.

    `voxels` is [k, j, i]; `affine` (4, 4) maps (i, j, k, 1) to LPS millimetres and may be
    permuted, flipped, oblique or sheared (gantry tilt). Returns the array [z, y, x] float32
    (z to Superior, y to Posterior, x to Left), spacing (x, y, z) and origin (x, y, z) in mm, and
    whether it was resampled (trilinear, `fill` outside; the new grid covers the old one's
    bounding box with the spacings of the nearest old axes).
    """
    matrix = np.asarray(affine, dtype=np.float64)[:3, :3]
    offset = np.asarray(affine, dtype=np.float64)[:3, 3]
    steps = np.linalg.norm(matrix, axis=0)
    directions = matrix / steps
    axis_of = _nearest_axes(directions)  # axis_of[w]: which voxel axis runs along world axis w
    size_ijk = np.array(voxels.shape[::-1])

    signs = np.array([np.sign(directions[w, axis_of[w]]) for w in range(3)])
    ideal = np.zeros((3, 3))
    for world in range(3):
        ideal[world, axis_of[world]] = signs[world]
    spacing = steps[list(axis_of)]

    if np.abs(directions - ideal).max() < ALIGNED_TOLERANCE:
        # [k, j, i] -> [z, y, x]: numpy axis of voxel axis a is 2 - a.
        array = np.transpose(voxels, [2 - axis_of[2], 2 - axis_of[1], 2 - axis_of[0]])
        array = array[tuple(slice(None, None, int(signs[w])) for w in (2, 1, 0))]
        centre = matrix @ ((size_ijk - 1) / 2) + offset
        size_xyz = size_ijk[list(axis_of)]
        origin = centre - spacing * (size_xyz - 1) / 2
        return (
            np.ascontiguousarray(array, dtype=np.float32),
            _triple(spacing),
            _triple(origin),
            False,
        )

    corners = np.array(list(itertools.product(*((0, n - 1) for n in size_ijk)))) @ matrix.T + offset
    low, high = corners.min(axis=0), corners.max(axis=0)
    size_xyz = np.ceil((high - low) / spacing - 1e-6).astype(int) + 1
    if np.prod(size_xyz.astype(float)) > _MOST_GROWTH * voxels.size:
        raise AxonInputError(
            "The axes of the volume are skewed beyond use: its upright grid would need "
            f"{size_xyz.tolist()} voxels. Export it again with its true orientation."
        )
    # index_ijk = inverse @ (spacing * xyz + low - offset); scipy counts axes as [k, j, i].
    inverse = np.linalg.inv(matrix)
    to_ijk = inverse * spacing
    array = ndimage.affine_transform(
        np.asarray(voxels, dtype=np.float32),
        to_ijk[::-1, ::-1],
        offset=(inverse @ (low - offset))[::-1],
        output_shape=tuple(size_xyz[::-1]),
        order=1,
        mode="constant",
        cval=fill,
    )
    return array, _triple(spacing), _triple(low), True


def _nearest_axes(directions: np.ndarray) -> tuple[int, int, int]:
    """The permutation of voxel axes that is closest to (x, y, z)."""
    best = max(
        itertools.permutations(range(3)),
        key=lambda order: sum(abs(directions[world, order[world]]) for world in range(3)),
    )
    return best  # type: ignore[return-value]


def _triple(values: np.ndarray) -> Triple:
    return float(values[0]), float(values[1]), float(values[2])
