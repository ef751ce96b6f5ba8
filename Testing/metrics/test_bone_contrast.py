"""Contrast of bone: rods of bone in soft tissue, worked out by hand."""

import math

import numpy as np
import pytest
import torch

from axon_backend.metrics import compute_metrics
from axon_backend.metrics.bone_contrast import bone_contrast

WINDOW = (-1000.0, 1000.0)
N = 24


def chest(bone: float, soft: float = 40.0) -> torch.Tensor:
    """Soft tissue with a rod of bone, one voxel thick, 300 HU above what is around it."""
    hu = torch.full((1, 1, N, N, N), soft)
    hu[..., 12, 12] = soft + bone
    return hu


def share(prediction: torch.Tensor, truth: torch.Tensor) -> float:
    unit = ((volume[0, 0].numpy() + 1000) / 2000 for volume in (prediction, truth))
    return compute_metrics(*unit, WINDOW, names=["bone_contrast"])["bone_contrast"]


def test_contrast_is_that_of_the_rod_and_shares_are_proportional():
    truth = chest(300.0)
    assert float(bone_contrast(truth, truth)) == pytest.approx(300.0, rel=1e-5)
    for part in (0.0, 0.25, 1.0, 1.5):
        assert share(chest(part * 300.0), truth) == pytest.approx(part, abs=1e-4)


def test_a_rod_in_another_place_has_no_contrast():
    moved = torch.roll(chest(300.0), 2, -1)
    assert share(moved, chest(300.0)) < 0


def test_offsets_and_broad_shading_do_not_count():
    truth = chest(300.0)
    shaded = chest(150.0, 0.0) + torch.linspace(-100, 100, N).reshape(1, 1, 1, 1, N)
    assert share(shaded, truth) == pytest.approx(0.5, abs=0.01)


def test_without_bone_there_is_no_value():
    assert math.isnan(share(chest(0.0), chest(0.0)))
    lungs = np.full((N, N, N), 0.1, np.float32)
    assert math.isnan(
        compute_metrics(lungs, lungs, WINDOW, names=["bone_contrast"])["bone_contrast"]
    )


def test_each_volume_of_a_batch_stands_alone():
    truths = torch.cat([chest(300.0), chest(0.0), chest(500.0)])
    assert bone_contrast(truths, truths).tolist() == pytest.approx([300.0, 0.0, 500.0], rel=1e-5)


def test_it_is_linear_with_a_gradient_at_the_bone_and_around_it_only():
    truth, volume = chest(300.0), torch.zeros(1, 1, N, N, N, requires_grad=True)
    bone_contrast(volume, truth).sum().backward()
    rod = volume.grad[0, 0, :, 12, 12]
    assert (rod > 0).all() and float(rod.sum()) == pytest.approx(1.0, rel=1e-4)
    assert (volume.grad[..., :8, :] == 0).all()
    two, one = (float(bone_contrast(x * truth + x, truth)) for x in (2.0, 1.0))
    assert two == pytest.approx(2 * one, rel=1e-5)
