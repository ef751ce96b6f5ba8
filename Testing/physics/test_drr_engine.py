"""The renderer against an independent one, its gradients, and its invariances."""

import numpy as np
import pytest
import torch

from axon_backend.imaging.view import View
from axon_backend.physics.attenuation import AttenuationVolume
from axon_backend.physics.drr import Rays, render_drr
from axon_backend.physics.geometry import AcquisitionGeometry


def trilinear(volume: np.ndarray, xyz: np.ndarray) -> np.ndarray:
    """Values at voxel positions (..., 3 = x, y, z); zero outside."""
    padded = np.pad(volume, 2)
    place = np.clip(xyz[..., ::-1] + 2, 0.0, np.array(padded.shape) - 1.001)
    low = np.floor(place).astype(int)
    part = place - low
    total = np.zeros(xyz.shape[:-1])
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(corner, part, 1 - part), -1)
        z, y, x = np.moveaxis(low + np.array(corner), -1, 0)
        total += weight * padded[z, y, x]
    return total


def march(volume, origin, spacing, geometry, size, step_mm) -> np.ndarray:
    """Line integrals by equal steps along each ray, the slow way."""
    source = geometry.source_mm
    rays = geometry.pixel_centres(size, size) - source
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    reach = 0.5 * np.linalg.norm(np.array(volume.shape[::-1]) * spacing)
    total = np.zeros((size, size))
    for distance in np.arange(geometry.sod_mm - reach, geometry.sod_mm + reach, step_mm):
        total += trilinear(volume, (source + distance * rays - origin) / np.array(spacing))
    return total * step_mm


@pytest.mark.parametrize("view", View)
@pytest.mark.parametrize("angles", [(0.0, 0.0, 0.0), (12.0, -8.0, 20.0)])
def test_agrees_with_a_trilinear_ray_march(blobs, frame, view, angles):
    volume, origin, spacing = blobs
    geometry = AcquisitionGeometry.of_frame(frame, view, sid_mm=900.0, sod_mm=700.0)
    geometry = geometry.rotated(*angles)
    ours = render_drr(AttenuationVolume(volume, spacing, origin), geometry, 20).numpy()
    theirs = march(volume.numpy(), origin, spacing, geometry, 20, step_mm=2.0)
    assert np.linalg.norm(ours - theirs) < 1e-2 * np.linalg.norm(theirs)


@pytest.mark.parametrize("ray_axis", [0, 1, 2])
def test_gradients_agree_with_finite_differences(ray_axis):
    torch.manual_seed(ray_axis)
    volume = torch.rand(4, 5, 6, dtype=torch.float64, requires_grad=True)
    origin, spacing = (-2.6, -1.9, -1.4), (1.0, 0.9, 1.1)
    source = torch.tensor([0.13, 0.21, -0.17], dtype=torch.float64)
    source[ray_axis] = -20.0
    points = 1.5 * torch.rand(2, 3, 3, dtype=torch.float64) - 0.7
    source.requires_grad_(True)
    points.requires_grad_(True)
    assert torch.autograd.gradcheck(
        lambda v, s, p: render_drr(AttenuationVolume(v, spacing, origin), Rays(s, p, ray_axis)),
        (volume, source, points),
        eps=1e-7,
        atol=1e-5,
    )


@pytest.mark.parametrize("about_lr", [0.0, 45.0])
def test_strips_do_not_change_the_image(blobs, frame, about_lr, monkeypatch):
    """Even where two axes are equally good to step along, and strips could disagree."""
    volume, origin, spacing = blobs
    geometry = AcquisitionGeometry.of_frame(frame, View.pa, sod_mm=500.0).rotated(about_lr)
    whole = render_drr(AttenuationVolume(volume, spacing, origin), geometry, (30, 24))
    monkeypatch.setattr("axon_backend.physics.drr.CPU_PIXELS", 7 * 24)
    pieces = render_drr(AttenuationVolume(volume, spacing, origin), geometry, (30, 24))
    assert torch.equal(whole, pieces)


def test_single_and_double_precision_agree(blobs, frame):
    volume, origin, spacing = blobs
    geometry = AcquisitionGeometry.of_frame(frame, View.lateral_left)
    double = render_drr(AttenuationVolume(volume, spacing, origin), geometry, 24)
    single = render_drr(AttenuationVolume(volume.float(), spacing, origin), geometry, 24)
    assert double.dtype == torch.float64 and single.dtype == torch.float32
    assert single.double().numpy() == pytest.approx(double.numpy(), abs=2e-4 * float(double.max()))


def test_twice_the_attenuation_is_twice_the_image(blobs, frame):
    volume, origin, spacing = blobs
    geometry = AcquisitionGeometry.of_frame(frame, View.ap)
    once, twice = (
        render_drr(AttenuationVolume(k * volume, spacing, origin), geometry, 8) for k in (1.0, 2.0)
    )
    assert torch.allclose(twice, 2 * once, rtol=1e-12)
