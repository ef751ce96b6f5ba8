"""The agreement's gradient to all that a pose search looks for, against finite differences."""

from dataclasses import replace

import pytest
import torch

from axon_backend.imaging.view import View
from axon_backend.physics.attenuation import AttenuationVolume
from axon_backend.physics.drr import render_drr
from axon_backend.physics.pose import Pose
from axon_backend.registration.place import PlacedView
from axon_backend.registration.pose_similarity import PoseSimilarity

TRUE = Pose((3.0, -2.0, 4.0), (8.0, -5.0, 6.0), 1300.0)
# Off the true pose, so that no slope is nought, and off whole voxels.
AT = torch.tensor([1.1, 0.7, 2.3, 3.1, 2.2, 1.7], dtype=torch.float64)
SHIFT = torch.tensor([0.4, 0.6, 0.9, -0.7], dtype=torch.float64)
LOG_SID_SCALE = torch.tensor([0.05], dtype=torch.float64)


@pytest.fixture(scope="module", params=[View.pa, View.lateral_right], ids=["pa", "rl"])
def exposure(request, chest_ct, frame):
    """In double precision: finite differences of single ones are noise."""
    view = request.param
    image = render_drr(chest_ct, TRUE.geometry(frame, view), 96).numpy()
    one = PoseSimilarity(
        PlacedView.from_drr(image, view), AttenuationVolume.from_ct(chest_ct), frame, 1500.0, 48
    )
    one.volume = replace(one.volume, mu=one.volume.mu.double())
    for name in ("origin", "spacing", "centre", "ray", "u", "v", "plane", "image", "weight"):
        setattr(one, name, getattr(one, name).double())
    return one


def test_every_slope_is_that_of_finite_differences(exposure):
    def value(x: torch.Tensor) -> torch.Tensor:
        return exposure.similarity(x[:6], x[6:10], x[10].exp())

    x = torch.cat([AT, SHIFT, LOG_SID_SCALE]).requires_grad_(True)
    (slope,) = torch.autograd.grad(value(x), x)
    for i in range(len(x)):
        move = torch.zeros_like(x)
        move[i] = 1e-6
        with torch.no_grad():
            difference = float(value(x + move) - value(x - move)) / 2e-6
        assert float(slope[i]) == pytest.approx(difference, rel=1e-3), i
    assert slope.abs().min() > 1e-4


def test_a_factor_on_the_distance_is_that_distance(exposure, chest_ct, frame):
    """``sid_scale`` 1.2 of 1500 mm is an exposure at 1800 mm, the detector where it was."""
    with torch.no_grad():
        moved = exposure.similarity(AT, SHIFT, torch.tensor(1.2, dtype=torch.float64))
        exposure.sid_mm, before = 1800.0, exposure.sid_mm
        try:
            there = exposure.similarity(AT, SHIFT)
        finally:
            exposure.sid_mm = before
        kept = exposure.similarity(AT, SHIFT)
    assert float(moved) == pytest.approx(float(there), abs=1e-9)
    assert abs(float(moved) - float(kept)) > 1e-4
