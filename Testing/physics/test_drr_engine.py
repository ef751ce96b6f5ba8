"""The renderer against an independent one, its gradients, and its invariances."""

import numpy as np
import pytest
import torch

from axon_backend.imaging.view import View
from axon_backend.physics.drr import project_rays, render
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
    rays = geometry.picture_points(size, size) - source
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
    ours = render(volume, origin, spacing, [geometry], 20)[0].numpy()
    theirs = march(volume.numpy(), origin, spacing, geometry, 20, step_mm=2.0)
    assert np.linalg.norm(ours - theirs) < 1e-2 * np.linalg.norm(theirs)


@pytest.mark.parametrize("ray_axis", [0, 1, 2])
def test_gradients_agree_with_finite_differences(ray_axis):
    torch.manual_seed(ray_axis)
    volume = torch.rand(4, 5, 6, dtype=torch.float64, requires_grad=True)
    origin = torch.tensor([-2.6, -1.9, -1.4], dtype=torch.float64)
    spacing = torch.tensor([1.0, 0.9, 1.1], dtype=torch.float64)
    source = torch.tensor([0.13, 0.21, -0.17], dtype=torch.float64)
    source[ray_axis] = -20.0
    points = 1.5 * torch.rand(2, 3, 3, dtype=torch.float64) - 0.7
    source.requires_grad_(True)
    points.requires_grad_(True)
    assert torch.autograd.gradcheck(
        lambda v, s, p: project_rays(v, origin, spacing, s, p),
        (volume, source, points),
        eps=1e-7,
        atol=1e-5,
    )


@pytest.mark.parametrize("about_lr", [0.0, 45.0])
def test_chunks_do_not_change_the_picture(blobs, frame, about_lr):
    """Also where two axes are equally good to march along, and chunks could disagree."""
    volume, origin, spacing = blobs
    geometry = AcquisitionGeometry.of_frame(frame, View.pa, sod_mm=500.0).rotated(about_lr)
    whole = render(volume, origin, spacing, [geometry], (30, 24))
    pieces = render(volume, origin, spacing, [geometry], (30, 24), rows_per_chunk=7)
    assert torch.equal(whole, pieces)


def test_several_views_in_one_call_are_the_single_ones(blobs, frame):
    volume, origin, spacing = blobs
    geometries = [AcquisitionGeometry.of_frame(frame, v) for v in View]
    together = render(volume, origin, spacing, geometries, (10, 12))
    assert together.shape == (4, 10, 12)
    for picture, geometry in zip(together, geometries, strict=True):
        assert torch.equal(picture, render(volume, origin, spacing, [geometry], (10, 12))[0])


def test_single_and_double_precision_agree(blobs, frame):
    volume, origin, spacing = blobs
    geometry = AcquisitionGeometry.of_frame(frame, View.lateral_left)
    double = render(volume, origin, spacing, [geometry], 24)
    single = render(volume.float(), origin, spacing, [geometry], 24)
    assert double.dtype == torch.float64 and single.dtype == torch.float32
    assert single.double().numpy() == pytest.approx(double.numpy(), abs=2e-4 * float(double.max()))


def test_twice_the_attenuation_is_twice_the_picture(blobs, frame):
    volume, origin, spacing = blobs
    geometry = [AcquisitionGeometry.of_frame(frame, View.ap)]
    once, twice = (render(k * volume, origin, spacing, geometry, 8) for k in (1.0, 2.0))
    assert torch.allclose(twice, 2 * once, rtol=1e-12)
