"""Projections with answers in closed form."""

import numpy as np
import pytest
import torch

from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.imaging.view import View
from axon_backend.physics.attenuation import MU_WATER_PER_MM, AttenuationVolume, hu_to_mu
from axon_backend.physics.drr import render_drr
from axon_backend.physics.geometry import DEFAULT_SOD_MM, AcquisitionGeometry


def cosines(geometry: AcquisitionGeometry, size: int) -> np.ndarray:
    """Cosine of each pixel's ray with the central ray."""
    rays = geometry.pixel_centres(size, size) - geometry.source_mm
    return rays @ np.array(geometry.ray) / np.linalg.norm(rays, axis=-1)


@pytest.mark.parametrize("view", View)
def test_central_ray_through_a_box_is_mu_times_length(frame, centred, view):
    shape, spacing, mu = (30, 24, 36), (4.0, 5.0, 6.0), 0.02
    volume = torch.zeros(shape)
    volume[10:20, 6:16, 8:30] = mu  # 10 planes of 5 mm along y, 22 planes of 4 mm along x
    box = ThoraxFrame((0.0, 0.0, 0.0), (60.0, 60.0, 60.0))
    # Through the middle of the box, which is not the middle of the volume.
    origin = centred(shape, spacing)
    middle = [origin[0] + 18.5 * 4.0, origin[1] + 10.5 * 5.0, origin[2] + 14.5 * 6.0]
    geometry = AcquisitionGeometry.of_frame(ThoraxFrame(tuple(middle), box.size_mm), view)
    image = render_drr(AttenuationVolume(volume, spacing, origin), geometry, 3)
    length = 10 * 5.0 if view.is_frontal else 22 * 4.0
    assert float(image[1, 1]) == pytest.approx(mu * length, rel=1e-6)


@pytest.mark.parametrize("view", View)
def test_oblique_rays_through_a_slab_are_longer_by_one_over_the_cosine(centred, view):
    shape, spacing, mu = (50, 50, 50), (8.0, 8.0, 8.0), 0.01
    volume = torch.zeros(shape, dtype=torch.float64)
    if view.is_frontal:
        volume[:, 20:30, :] = mu
    else:
        volume[:, :, 20:30] = mu
    frame = ThoraxFrame((0.0, 0.0, 0.0), (200.0, 200.0, 200.0))
    geometry = AcquisitionGeometry.of_frame(frame, view, sid_mm=400.0, sod_mm=300.0)
    image = render_drr(
        AttenuationVolume(volume, spacing, centred(shape, spacing)), geometry, 9
    ).numpy()
    cosine = cosines(geometry, 9)
    assert cosine.min() < 0.95  # steep enough to matter
    assert image == pytest.approx(mu * 80.0 / cosine, rel=1e-9)


def test_a_sphere_shows_its_chords(centred):
    n, radius = 96, 40.0
    spacing = (1.0, 1.0, 1.0)
    axis = np.arange(n) - (n - 1) / 2
    r = np.sqrt(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None, :] ** 2)
    volume = torch.as_tensor(np.clip(radius - r + 0.5, 0.0, 1.0))  # soft edge: partial volume
    geometry = AcquisitionGeometry.of_frame(ThoraxFrame((0.0, 0.0, 0.0), (90.0,) * 3), View.pa)
    image = render_drr(
        AttenuationVolume(volume, spacing, centred((n,) * 3, spacing)), geometry, 33
    ).numpy()
    rays = geometry.pixel_centres(33, 33) - geometry.source_mm
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    from_centre = np.linalg.norm(np.cross(rays, -geometry.source_mm), axis=-1)
    inside = from_centre < 0.9 * radius
    chord = 2 * np.sqrt(radius**2 - from_centre[inside] ** 2)
    assert image[inside] == pytest.approx(chord, rel=0.01)
    assert not image[from_centre > radius + 2].any()


@pytest.mark.parametrize("view", View)
def test_a_ray_through_the_middle_of_one_voxel_integrates_to_its_length(centred, view):
    shape, spacing = (9, 9, 9), (3.0, 4.0, 5.0)
    volume = torch.zeros(shape)
    volume[4, 4, 4] = 1.0
    geometry = AcquisitionGeometry.of_frame(ThoraxFrame((0.0, 0.0, 0.0), (30.0,) * 3), view)
    image = render_drr(AttenuationVolume(volume, spacing, centred(shape, spacing)), geometry, 5)
    assert float(image[2, 2]) == pytest.approx(4.0 if view.is_frontal else 3.0, rel=1e-6)


def test_a_voxel_s_shadow_holds_its_volume_times_the_magnification_squared(centred):
    shape, spacing = (41, 41, 41), (4.0, 4.0, 4.0)
    volume = torch.zeros(shape, dtype=torch.float64)
    volume[20, 30, 20] = 1.0  # 40 mm towards the tube of a PA exposure
    geometry = AcquisitionGeometry.of_frame(
        ThoraxFrame((0.0, 0.0, 0.0), (20.0,) * 3), View.pa, sid_mm=300.0, sod_mm=200.0
    )
    image = render_drr(AttenuationVolume(volume, spacing, centred(shape, spacing)), geometry, 200)
    pixel_area = (geometry.extent_mm[0] / 200) ** 2
    expected = 64.0 * (200.0 / (200.0 - 40.0)) ** 2
    assert float(image.sum()) * pixel_area == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("view", View)
def test_a_ball_off_the_isocentre_falls_where_the_geometry_projects_it(frame, centred, view):
    shape, spacing = (70, 56, 76), (4.0, 4.0, 4.0)
    origin = np.array(centred(shape, spacing))
    ball = np.array([60.0, 70.0, -45.0])
    z, y, x = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    mm = origin + 4.0 * np.stack([x, y, z], -1)
    volume = torch.as_tensor(np.exp(-0.5 * ((mm - ball) ** 2).sum(-1) / 6.0**2))
    geometry = AcquisitionGeometry.of_frame(frame, view, sid_mm=900.0, sod_mm=700.0)
    image = render_drr(AttenuationVolume(volume, spacing, origin), geometry, 128).numpy()
    centres = (np.arange(128) + 0.5) / 128
    found = [image.sum(0) @ centres, image.sum(1) @ centres] / image.sum()
    assert found == pytest.approx(geometry.project(ball), abs=0.3 / 128)


def marker_ct(place_mm: tuple[float, float, float]) -> CTVolume:
    """Air with a bright cube of 24 mm at an LPS place."""
    hu = np.full((48, 40, 50), -1000.0, np.float32)
    spacing, origin = (6.0, 6.0, 6.0), (-147.0, -117.0, -141.0)
    x, y, z = (round((p - o) / 6.0) for p, o in zip(place_mm, origin, strict=True))
    hu[z - 2 : z + 2, y - 2 : y + 2, x - 2 : x + 2] = 1000.0
    return CTVolume(hu, spacing, origin)


@pytest.mark.parametrize("view", View)
def test_orientation_of_the_four_views(frame, view):
    """Right of the patient on the viewer's left; head up; in lateral views the front on the
    viewer's left."""

    def bright(place: tuple[float, float, float]) -> tuple[int, int]:
        image = render_drr(marker_ct(place), AcquisitionGeometry.of_frame(frame, view), 32).numpy()
        assert image.shape == (32, 32) and image.dtype == np.float32
        return np.unravel_index(image.argmax(), image.shape)

    assert bright((0.0, 0.0, 90.0))[0] < 10 and bright((0.0, 0.0, -90.0))[0] > 21
    if view.is_frontal:
        assert bright((-90.0, 0.0, 0.0))[1] < 10 and bright((90.0, 0.0, 0.0))[1] > 21
    else:
        assert bright((0.0, -75.0, 0.0))[1] < 10 and bright((0.0, 75.0, 0.0))[1] > 21


def test_a_drr_of_water_is_its_attenuation_times_its_thickness(frame):
    ct = CTVolume(np.zeros((60, 50, 60), np.float32), (6.0, 4.0, 6.0), (-177.0, -98.0, -177.0))
    image = render_drr(ct, AcquisitionGeometry.of_frame(frame, View.pa), 9).numpy()
    assert image[4, 4] == pytest.approx(MU_WATER_PER_MM * 50 * 4.0, rel=1e-5)
    assert image[0, 4] > image[4, 4]  # the oblique path is longer


def test_attenuation_of_air_water_and_bone():
    hu = np.array([-3000.0, -1000.0, 0.0, 1150.0])
    assert hu_to_mu(hu) == pytest.approx(np.array([0.0, 0.0, 1.0, 2.15]) * MU_WATER_PER_MM)
    harder = hu_to_mu(hu, bone_gain=1.5)
    assert harder == pytest.approx(np.array([0.0, 0.0, 1.0, 2.65]) * MU_WATER_PER_MM)
    assert hu_to_mu(torch.as_tensor(hu), 1.5).numpy() == pytest.approx(harder)


def test_default_distances():
    geometry = AcquisitionGeometry.of_frame(ThoraxFrame((1.0, 2.0, 3.0), (300.0,) * 3), View.ap)
    assert geometry.source_mm == pytest.approx([1.0, 2.0 - DEFAULT_SOD_MM, 3.0])
