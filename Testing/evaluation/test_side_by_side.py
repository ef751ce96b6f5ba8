"""Two volumes of one patient: known shifts and enlargements."""

import numpy as np
import pytest

from axon_backend.evaluation.side_by_side import compare_volumes, resampled


def matrix(spacing, origin=(0.0, 0.0, 0.0)):
    made = np.diag([*spacing, 1.0])
    made[:3, 3] = origin
    return made


def ramp(matrix, shape):
    """HU that rise linearly along all axes of the patient."""
    k, j, i = np.indices(shape)
    x, y, z = np.tensordot(matrix[:3], np.stack([i, j, k, np.ones(shape)]), 1)
    return (x + 2 * y - 3 * z).astype(np.float32)


def test_the_same_grid_is_subtracted_voxel_by_voxel():
    grid, hu = matrix((2, 3, 4)), np.zeros((12, 12, 12), np.float32)
    difference, metrics = compare_volumes(hu, grid, hu + 190, grid)
    assert (difference == -190).all()
    assert metrics["mae"] == pytest.approx(0.1, abs=1e-6)  # 190 of a window of 1900 HU


def test_another_grid_gives_the_values_at_the_same_places():
    coarse, fine = matrix((4, 4, 4), (1, 1, 1)), matrix((2, 2, 2), (-7, -7, -7))
    turned = fine.copy()
    turned[:3, :3] = turned[:3, [1, 0, 2]]  # i and j exchanged
    for grid in (fine, turned):
        found = resampled(ramp(grid, (24, 24, 24)), grid, (8, 8, 8), coarse)
        assert np.allclose(found, ramp(coarse, (8, 8, 8)), atol=1e-3)


def test_outside_of_the_other_volume_is_air():
    grid = matrix((1, 1, 1))
    found = resampled(np.zeros((4, 4, 4)), grid, (4, 4, 4), matrix((1, 1, 1), (100, 0, 0)))
    assert (found == -1000).all()
