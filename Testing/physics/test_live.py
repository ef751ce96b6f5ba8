"""The quick DRR against the full one."""

import numpy as np
import pytest
import torch

from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.imaging.view import View
from axon_backend.physics.drr import render, render_view
from axon_backend.physics.live import LiveDrr
from axon_backend.physics.pose import Pose
from axon_backend.physics.reduced import AttenuationGrid

FRAME = ThoraxFrame((76.0, -182.0, 660.0), (300.0, 200.0, 280.0))
POSE = Pose((5.0, -4.0, 8.0), (10.0, -5.0, 12.0), 1500.0)


@pytest.mark.parametrize("view", View)
def test_the_full_picture_is_the_canonical_drr(phantom_ct, view):
    picture = LiveDrr(phantom_ct, FRAME, view).render(size=64)
    assert picture.shape == (64, 64) and picture.dtype == np.float32
    assert np.array_equal(picture, render_view(phantom_ct, FRAME, view, 64))


@pytest.mark.parametrize("view", [View.pa, View.lateral_left])
def test_the_fast_picture_is_nearly_the_full_one_in_any_pose(phantom_ct, view):
    # Half the voxel size, so that there is something to reduce.
    fine = phantom_ct.hu.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    origin = tuple(o - 1.0 for o in phantom_ct.origin_mm)
    ct = type(phantom_ct)(fine, (2.0, 2.0, 2.0), origin)
    live = LiveDrr(ct, FRAME, view)
    assert live.coarse.mu.numel() < 0.25 * fine.size
    full, fast = (live.render(POSE, 96, fast) for fast in (False, True))
    assert np.linalg.norm(fast - full) < 0.03 * np.linalg.norm(full)
    other = live.render(Pose(), 96, fast=True)
    assert np.linalg.norm(other - full) > 0.1 * np.linalg.norm(full)


def test_block_means_keep_the_box_and_the_content():
    rng = np.random.default_rng(0)
    grid = AttenuationGrid(torch.as_tensor(rng.random((8, 24, 40))), (1.5, 2.5, 7.5), (3, -4, 5.0))
    small = grid.reduced(20)
    assert small.mu.shape == (8, 20, 20)  # z is coarser than 3 mm already
    assert small.spacing_mm == pytest.approx((3.0, 3.0, 7.5))
    assert small.origin_mm == pytest.approx((3 + 0.75, -4 + 0.25, 5.0))
    assert small.mu.sum() * np.prod(small.spacing_mm) == pytest.approx(
        float(grid.mu.sum() * np.prod(grid.spacing_mm)), rel=0.01
    )
    assert torch.allclose(small.mu[:, 0, 0], grid.mu[:, :2, :2].mean((1, 2)))


def test_a_small_thing_stays_where_it_is(frame, centred):
    shape, spacing = (120, 110, 130), (2.0, 2.0, 2.0)
    mu = torch.zeros(shape)
    mu[80:83, 30:33, 90:93] = 1.0
    grid = AttenuationGrid(mu, spacing, centred(shape, spacing))
    geometry = POSE.geometry(frame, View.pa)
    at = (np.arange(200) + 0.5) / 200
    places = []
    for g in (grid, grid.reduced(48)):
        picture = render(g.mu, g.origin_mm, g.spacing_mm, [geometry], 200)[0].numpy()
        places.append(np.array([picture.sum(0) @ at, picture.sum(1) @ at]) / picture.sum())
    away_mm = (places[1] - places[0]) * geometry.extent_mm
    assert np.abs(away_mm).max() < 2.5  # half a coarse voxel
