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
