"""Lifting: which image value lands in which voxel."""

import numpy as np
import pytest
import torch

from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.imaging.view import View
from axon_backend.networks.lifting import (
    LIFTINGS,
    back_project,
    back_project_residuals,
    forward_project,
    lift,
)
from axon_backend.physics.attenuation import AttenuationVolume
from axon_backend.physics.drr import render_drr
from axon_backend.physics.geometry import FIELD_OF_VIEW, AcquisitionGeometry, beam_parameter

D = 8
NO_BEAM = torch.zeros(1)


@pytest.mark.parametrize("lifting", LIFTINGS)
@pytest.mark.parametrize("frontal", [True, False])
def test_shapes(lifting, frontal):
    channels = 3 if lifting in ("repeat", "backproject") else 3 * D
    volume = lift(torch.randn(2, channels, D, D), D, frontal, lifting, torch.zeros(2))
    assert volume.shape == (2, 3, D, D, D)


def test_unknown_lifting_is_refused():
    with pytest.raises(ValueError, match="lifting"):
        lift(torch.zeros(1, 1, D, D), D, True, "attention", NO_BEAM)


@pytest.mark.parametrize("lifting", ["reshape", "project"])
def test_channel_c_d_becomes_plane_d_of_feature_c(lifting):
    features = torch.arange(2.0 * D).reshape(1, 2 * D, 1, 1).expand(1, 2 * D, D, D)
    expected = torch.arange(2.0 * D).reshape(2, D)
    frontal = lift(features, D, True, lifting, NO_BEAM)  # depth is y
    assert torch.allclose(frontal, expected[None, :, None, :, None].expand_as(frontal))
    lateral = lift(features, D, False, lifting, NO_BEAM)  # depth is x
    assert torch.allclose(lateral, expected[None, :, None, None, :].expand_as(lateral))


def ramps() -> tuple[torch.Tensor, torch.Tensor]:
    """An image that says its column, and one that says its row, -1 to 1 over the image."""
    ramp = (torch.arange(32) + 0.5) / 16 - 1
    return ramp.expand(1, 1, 32, 32), ramp[:, None].expand(1, 1, 32, 32)


CENTRES = (torch.arange(D) + 0.5) / (D / 2) - 1


@pytest.mark.parametrize("frontal", [True, False])
def test_a_voxel_takes_the_pixel_in_front_of_it(frontal):
    """Columns run with x (frontal) or y (lateral), rows against z; the image is wider than the
    box by the field of view."""
    column, row = (lift(r, D, frontal, "repeat", NO_BEAM)[0, 0] for r in ramps())
    across = CENTRES[None, None, :] if frontal else CENTRES[None, :, None]
    assert torch.allclose(column, (across / FIELD_OF_VIEW).expand(D, D, D), atol=1e-6)
    assert torch.allclose(row, (-CENTRES[:, None, None] / FIELD_OF_VIEW).expand(D, D, D), atol=1e-6)


@pytest.mark.parametrize("frontal", [True, False])
def test_the_cone_beam_magnifies_the_planes_near_the_source(frontal):
    beam = 0.07
    column = lift(ramps()[0], D, frontal, "backproject", torch.tensor([beam]))[0, 0]
    zoom = 1 / (1 - beam * CENTRES) / FIELD_OF_VIEW
    if frontal:
        expected = zoom[None, :, None] * CENTRES[None, None, :]
    else:
        expected = zoom[None, None, :] * CENTRES[None, :, None]
    assert torch.allclose(column, expected.expand(D, D, D), atol=1e-6)


def test_an_absent_lateral_view_is_zero():
    out = back_project([torch.ones(1, 1, 32, 32)], D, torch.zeros(1, 2))
    assert out.shape == (1, 2, D, D, D)
    assert torch.allclose(out[:, 0], torch.ones(())) and not out[:, 1].any()


def found_and_true(front: View, side: View, flip: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Voxel (z, y, x) of the brightest point of the back-projected product of two DRRs of a small
    ball, and the ball's own; a short tube distance makes the magnification matter."""
    n, sod = 32, 500.0
    frame = ThoraxFrame((10.0, -20.0, 30.0), (300.0, 200.0, 280.0))
    true = np.array([26, 5, 4])
    z, y, x = np.meshgrid(*(np.arange(n) - t for t in true), indexing="ij")
    ball = torch.as_tensor(np.exp(-0.5 * (x**2 + y**2 + z**2) / 0.8**2), dtype=torch.float32)
    views = (front, side)
    geometries = [
        AcquisitionGeometry.of_frame(frame, v, sid_mm=sod + 200, sod_mm=sod) for v in views
    ]
    volume = AttenuationVolume(ball, frame.spacing_mm(n), frame.origin_mm(n))
    images = [render_drr(volume, geometry, 128) for geometry in geometries]
    beams = [beam_parameter(frame.size_mm[1 if v.is_frontal else 0], sod, v) for v in views]
    seen = back_project([p[None, None] for p in images], n, flip * torch.tensor([beams]))
    product = (seen[0, 0] * seen[0, 1]).numpy()
    return np.array(np.unravel_index(product.argmax(), product.shape)), true


@pytest.mark.parametrize("front", [View.pa, View.ap])
@pytest.mark.parametrize("side", [View.lateral_left, View.lateral_right])
def test_two_drrs_of_a_ball_meet_at_the_ball(front, side):
    found, true = found_and_true(front, side)
    assert np.abs(found - true).max() <= 1
    mirrored, _ = found_and_true(front, side, flip=-1.0)
    assert np.abs(mirrored - true).max() > 1  # the wrong sign of the beam would be noticed


def smooth_volume(n: int) -> torch.Tensor:
    """Blobs in air, (1, 1, n, n, n) in [-1, 1], without a symmetry."""
    axis = (torch.arange(n) + 0.5) / n * 2 - 1
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    a = torch.exp(-8 * ((x - 0.3) ** 2 + (y + 0.2) ** 2 + (z - 0.1) ** 2))
    b = torch.exp(-12 * ((x + 0.4) ** 2 + (y - 0.3) ** 2 + (z + 0.4) ** 2))
    return (2 * a + 1.2 * b).clamp(0, 2)[None, None] - 1


@pytest.mark.parametrize("view", View)
def test_forward_projection_is_the_renderer_s_image(view):
    n, sod = 32, 600.0
    frame = ThoraxFrame((0.0, 0.0, 0.0), (300.0, 200.0, 280.0))
    volume = smooth_volume(n)
    depth = frame.size_mm[1 if view.is_frontal else 0]
    beam = torch.tensor([beam_parameter(depth, sod, view)])
    ours = forward_project(volume, view.is_frontal, beam, 24)[0, 0].numpy()
    geometry = AcquisitionGeometry.of_frame(frame, view, sid_mm=sod, sod_mm=sod)
    attenuation = AttenuationVolume(volume[0, 0] + 1, frame.spacing_mm(n), frame.origin_mm(n))
    rendered = render_drr(attenuation, geometry, 24).numpy()
    rays = geometry.pixel_centres(24, 24) - geometry.source_mm
    cosine = rays @ np.array(geometry.ray) / np.linalg.norm(rays, axis=-1)
    assert ours == pytest.approx(rendered * cosine / depth, abs=1e-5)


def test_a_volume_that_explains_its_images_has_no_residual():
    n, beam = 16, torch.tensor([[0.07, -0.09], [-0.06, 0.08]])
    volume = torch.cat([smooth_volume(n), smooth_volume(n).flip(2)])
    images = [forward_project(volume, i == 0, beam[:, i], n) for i in range(2)]
    greys = [3.0 * images[0] - 2.0, 0.5 * images[1] + 1.0]  # gain and offset are unknown
    nothing = back_project_residuals(volume, greys, beam)
    assert nothing.shape == (2, 2, n, n, n)
    assert nothing.abs().max() < 1e-4
    one = back_project_residuals(volume, [images[0] + 0.1 * torch.randn(2, 1, n, n)], beam)
    assert one[:, 0].abs().max() > 0.05 and not one[:, 1].any()


def test_a_nodule_the_volume_lacks_is_a_residual_in_its_place():
    n, beam = 32, torch.tensor([[0.1, -0.1]])
    without = smooth_volume(n)
    nodule = without.clone()
    nodule[0, 0, 24:27, 6:9, 20:23] += 1.0
    images = [forward_project(nodule, i == 0, beam[:, i], n) for i in range(2)]
    missed = back_project_residuals(without, images, beam)[0]
    product = missed[0].clamp_min(0) * missed[1].clamp_min(0)
    found = np.unravel_index(int(product.argmax()), (n, n, n))
    assert np.abs(np.array(found) - [25, 7, 21]).max() <= 1
