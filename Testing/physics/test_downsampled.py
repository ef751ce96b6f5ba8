"""The DRR of a downsampled volume against the full one."""

import numpy as np
import pytest
import torch

from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.imaging.view import View
from axon_backend.physics.attenuation import AttenuationVolume
from axon_backend.physics.drr import render_drr
from axon_backend.physics.pose import Pose

FRAME = ThoraxFrame((76.0, -182.0, 660.0), (300.0, 200.0, 280.0))
POSE = Pose((5.0, -4.0, 8.0), (10.0, -5.0, 12.0), 1500.0)


@pytest.mark.parametrize("view", [View.pa, View.lateral_left])
def test_a_downsampled_volume_gives_nearly_the_same_drr_in_any_pose(phantom_ct, view):
    # Half the voxel size, so that there is something to reduce.
    fine = phantom_ct.hu.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    origin = tuple(o - 1.0 for o in phantom_ct.origin_mm)
    ct = type(phantom_ct)(fine, (2.0, 2.0, 2.0), origin)
    coarse = AttenuationVolume.from_ct(ct).downsampled(96)
    assert coarse.mu.numel() < 0.25 * fine.size
    full, fast = (render_drr(v, POSE.geometry(FRAME, view), 96) for v in (ct, coarse))
    assert float((fast - full).norm()) < 0.03 * float(full.norm())
    other = render_drr(coarse, Pose().geometry(FRAME, view), 96)
    assert float((other - full).norm()) > 0.1 * float(full.norm())


def test_block_means_keep_the_box_and_the_content():
    rng = np.random.default_rng(0)
    grid = AttenuationVolume(
        torch.as_tensor(rng.random((8, 24, 40))), (1.5, 2.5, 7.5), (3, -4, 5.0)
    )
    small = grid.downsampled(20)
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
    grid = AttenuationVolume(mu, spacing, centred(shape, spacing))
    geometry = POSE.geometry(frame, View.pa)
    at = (np.arange(200) + 0.5) / 200
    places = []
    for g in (grid, grid.downsampled(48)):
        image = render_drr(g, geometry, 200).numpy()
        places.append(np.array([image.sum(0) @ at, image.sum(1) @ at]) / image.sum())
    away_mm = (places[1] - places[0]) * geometry.extent_mm
    assert np.abs(away_mm).max() < 2.5  # half a coarse voxel
