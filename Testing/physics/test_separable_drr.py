"""On a CPU, views along an axis are interpolated axis by axis: the same DRR as ray by ray."""

import numpy as np
import pytest
import torch

from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.imaging.view import View
from axon_backend.physics import drr
from axon_backend.physics.attenuation import AttenuationVolume
from axon_backend.physics.geometry import AcquisitionGeometry

FRAME = ThoraxFrame((3.0, -5.0, 8.0), (60.0, 50.0, 70.0))


def random_volume(channels: int | None) -> AttenuationVolume:
    """Voxels up to its borders; smaller than the field of view along x and y, larger along z."""
    shape = (36, 20, 22) if channels is None else (channels, 36, 20, 22)
    mu = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 0.02
    return AttenuationVolume(mu, (2.5, 2.3, 2.2), (-24.0, -28.0, -31.0))


def rays_of(geometry: AcquisitionGeometry, height: int, width: int) -> drr.Rays:
    points = torch.as_tensor(geometry.pixel_centres(height, width), dtype=torch.float32)
    source = torch.as_tensor(np.asarray(geometry.source_mm), dtype=torch.float32)
    return drr.Rays(source, points, int(np.argmax(np.abs(geometry.ray))))


@pytest.mark.parametrize("view", list(View))
@pytest.mark.parametrize("channels", [None, 2])
def test_same_as_ray_by_ray(view: View, channels: int | None, monkeypatch) -> None:
    monkeypatch.setattr(drr, "CPU_NUMBERS", 300)  # several strips, the last one shorter
    monkeypatch.setattr(drr, "CPU_PLANES", 5)  # several groups, the last one smaller
    geometry = AcquisitionGeometry.of_frame(FRAME, view)
    volume = random_volume(channels)
    fast = drr.render_drr(volume, geometry, (37, 41))
    slow = drr.render_drr(volume, rays_of(geometry, 37, 41))
    assert fast.shape == slow.shape and fast.dtype == slow.dtype
    assert float(slow.max()) > 0.5 and float(slow.min()) == 0.0
    assert float((fast - slow).norm() / slow.norm()) < 1e-5


def test_the_gradient_to_the_volume_is_kept() -> None:
    volume = random_volume(None)
    volume.mu.requires_grad_(True)
    geometry = AcquisitionGeometry.of_frame(FRAME, View.pa)
    drr.render_drr(volume, geometry, 16).sum().backward()
    assert volume.mu.grad is not None and float(volume.mu.grad.max()) > 0


def smooth_volume() -> AttenuationVolume:
    """A ball with a smooth edge, off the centre."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (36, 30, 32)), indexing="ij")
    ball = 0.02 / (1 + np.exp(12 * (np.sqrt((x - 0.2) ** 2 + y**2 + (z + 0.1) ** 2) - 0.6)))
    return AttenuationVolume(torch.as_tensor(ball.astype(np.float32)), (2.0, 2.0, 2.0), (-31,) * 3)


@pytest.mark.parametrize("view", list(View))
@pytest.mark.parametrize("angles", [(3.0, 0.0, 0.0), (-8.0, 5.0, 12.0), (20.0, -15.0, 25.0)])
def test_a_preview_shows_the_same_from_any_direction(view: View, angles) -> None:
    geometry = AcquisitionGeometry.of_frame(FRAME, view).rotated(*angles)
    volume = smooth_volume()
    seen, exact = drr.preview_drr(volume, geometry, 96), drr.render_drr(volume, geometry, 96)
    assert seen.shape == exact.shape and float(exact.max()) > 0.5
    assert float((seen - exact).norm() / exact.norm()) < 0.01


def test_a_preview_along_an_axis_is_the_drr() -> None:
    geometry, volume = AcquisitionGeometry.of_frame(FRAME, View.pa), random_volume(None)
    assert torch.equal(drr.preview_drr(volume, geometry, 33), drr.render_drr(volume, geometry, 33))
