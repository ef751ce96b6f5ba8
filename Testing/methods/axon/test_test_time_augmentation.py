"""Stage 1 as the mean over small shifts of the X-rays."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.imaging.view import View
from axon_backend.methods.axon.test_time_augmentation import CORNERS, ShiftedBackMean, shifted_views
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.physics.attenuation import AttenuationVolume
from axon_backend.physics.drr import render_drr
from axon_backend.physics.geometry import AcquisitionGeometry

SIZE, VIEW = 16, 176


def views_of(volume: torch.Tensor) -> RegisteredViews:
    """Both views of a volume (D, D, D) that fills a frame of 320 mm, by a far tube."""
    frame = ThoraxFrame((0.0, 0.0, 0.0), (320.0, 320.0, 320.0))
    n = volume.shape[0]
    attenuation = AttenuationVolume(volume, frame.spacing_mm(n), frame.origin_mm(n))
    images = [
        render_drr(
            attenuation, AcquisitionGeometry.of_frame(frame, view, sid_mm=1e6, sod_mm=1e6), VIEW
        )[None, None]
        for view in (View.pa, View.lateral_left)
    ]
    return RegisteredViews(images[0], images[1], torch.zeros(1, 2))


@pytest.mark.parametrize("voxels", CORNERS)
def test_shifted_views_are_those_of_the_moved_patient(voxels):
    rng = np.random.default_rng(0)
    volume = torch.zeros(SIZE, SIZE, SIZE)
    volume[3:-3, 3:-3, 3:-3] = torch.as_tensor(rng.random((10, 10, 10)), dtype=torch.float32)
    there = views_of(torch.roll(volume, voxels, (0, 1, 2)))
    moved = shifted_views(views_of(volume), voxels, SIZE)
    for ours, theirs in ((moved.frontal, there.frontal), (moved.lateral, there.lateral)):
        assert float((ours - theirs).abs().max()) < 0.02 * float(theirs.max())
    alone = shifted_views(replace(views_of(volume), lateral=None), voxels, SIZE)
    assert alone.lateral is None and torch.equal(alone.frontal, moved.frontal)


def test_what_moves_with_its_xrays_comes_back_unchanged():
    """The mean of one volume in four places is that volume, at its borders too; in the corners
    that no place shows it is next to it."""
    wide = torch.randn(1, 1, 10, 10, 10)
    mean = ShiftedBackMean()
    for z, y, x in CORNERS:
        mean.add(wide[..., 1 - z : 9 - z, 1 - y : 9 - y, 1 - x : 9 - x], (z, y, x))
    found, true = mean.mean(), wide[..., 1:9, 1:9, 1:9].clone()
    shown = torch.ones_like(true, dtype=torch.bool)
    for corner in itertools.product((0, -1), repeat=3):
        shown[(..., *corner)] = False
    assert torch.allclose(found[shown], true[shown], atol=0.02) and bool(found.isfinite().all())
    one = ShiftedBackMean()
    one.add(true, (0, 0, 0))
    assert torch.equal(one.mean(), true)


def test_stage_one_is_the_mean_over_the_places(tiny, views, with_sampling):
    """As one would take it by hand, with the steps counted on; several steps draw one sample where
    the X-rays lie; and only 1 or 4 places are known."""
    model, told = tiny(), []
    one = model.coarse_diff.run(views, 1, torch.Generator().manual_seed(3))
    drawn = model.coarse_diff.run(views, 2, torch.Generator().manual_seed(3))
    with_sampling(model, tta_shifts=4)
    assert torch.equal(model.coarse_diff.run(views, 2, torch.Generator().manual_seed(3)), drawn)
    four = model.coarse_diff.run(
        views, 1, torch.Generator().manual_seed(3), lambda i, n, x: told.append((i, n))
    )
    by_hand, generator = ShiftedBackMean(), torch.Generator().manual_seed(3)
    for corner in CORNERS:
        moved = shifted_views(views, corner, model.config.grid)
        by_hand.add(model.coarse_diff.run(moved, 1, generator, tta_shifts=1), corner)
    assert torch.equal(four, by_hand.mean()) and not torch.equal(one, four)
    assert told == [(i + 1, 4) for i in range(4)]
    with pytest.raises(ValueError, match="1 or 4, got 3"):
        with_sampling(model, tta_shifts=3)


def test_the_corners_are_balanced_and_as_far_apart_as_they_can_be():
    at = np.array(CORNERS)
    assert at.sum(0).tolist() == [0, 0, 0]
    away = np.linalg.norm(at[:, None] - at[None], axis=-1)
    assert np.allclose(away[~np.eye(4, dtype=bool)], np.sqrt(8))
