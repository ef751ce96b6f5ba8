"""Lungs and bone of boxes of known size."""

import numpy as np
import pytest

from axon_backend.evaluation.segment import segment

SPACING = np.diag([2.0, 3.0, 4.0, 1.0])
VOXEL_ML = 0.024


def body(shift=0):
    """A body in air with a lung and a bone; [z, y, x]."""
    hu = np.full((30, 30, 30), -1000.0, np.float32)
    hu[3:27, 3:27, 3:27] = 40
    hu[8:22, 8:22, 6 + shift : 14 + shift] = -850
    hu[8:22, 8:22, 20:23] = 700
    return hu


def test_volumes_and_overlap_of_known_boxes():
    found = segment(body(), SPACING, body(shift=2), SPACING)
    lungs, bone = found["lungs"], found["bone"]
    assert lungs.ml == pytest.approx(14 * 14 * 8 * VOXEL_ML) == lungs.other_ml
    assert lungs.dice == pytest.approx(6 / 8)
    assert bone.ml == pytest.approx(14 * 14 * 3 * VOXEL_ML) and bone.dice == 1
    assert lungs.mask[10, 10, 8] and not lungs.mask[0, 0, 0]


def test_another_grid_is_resampled_and_the_other_is_optional():
    finer = np.repeat(np.repeat(np.repeat(body(), 2, 0), 2, 1), 2, 2)
    half = np.diag([1.0, 1.5, 2.0, 1.0])
    half[:3, 3] = -0.5, -0.75, -1.0
    assert segment(body(), SPACING, finer, half)["lungs"].dice == 1
    assert segment(body(), SPACING)["bone"].dice is None
