"""Acquisition geometry: what can be said of it on paper."""

import numpy as np
import pytest

from axon_backend.imaging.view import View
from axon_backend.physics.geometry import (
    DEFAULT_SID_MM,
    DEFAULT_SOD_MM,
    AcquisitionGeometry,
    beam_parameter,
)


@pytest.mark.parametrize("view", View)
def test_isocentre_projects_to_the_middle(frame, view):
    geometry = AcquisitionGeometry.of_frame(frame, view)
    assert geometry.project(np.array(frame.center_mm)) == pytest.approx([0.5, 0.5], abs=1e-12)


@pytest.mark.parametrize("view", View)
def test_image_points_project_to_their_own_pixels(frame, view):
    geometry = AcquisitionGeometry.of_frame(frame, view).rotated(5.0, -7.0, 11.0)
    height, width = 5, 8
    expected = np.stack(
        np.broadcast_arrays(
            (np.arange(width) + 0.5) / width, ((np.arange(height) + 0.5) / height)[:, None]
        ),
        -1,
    )
    assert geometry.project(geometry.pixel_centres(height, width)) == pytest.approx(
        expected, abs=1e-12
    )


def test_a_point_nearer_to_the_source_is_magnified_by_the_ratio_of_distances(frame):
    geometry = AcquisitionGeometry.of_frame(frame, View.pa)
    u, v = geometry.project(np.array([30.0, 100.0, -40.0]))  # 100 mm towards the tube
    magnified = DEFAULT_SOD_MM / (DEFAULT_SOD_MM - 100.0)
    assert (u - 0.5) * geometry.extent_mm[0] == pytest.approx(30.0 * magnified)
    assert (v - 0.5) * geometry.extent_mm[1] == pytest.approx(40.0 * magnified)  # rows run down


def test_magnification_of_the_detector(frame):
    geometry = AcquisitionGeometry.of_frame(frame, View.pa)
    assert geometry.magnification == pytest.approx(DEFAULT_SID_MM / DEFAULT_SOD_MM)


@pytest.mark.parametrize(
    ("view", "axis", "sign"),
    [(View.pa, 1, 1), (View.ap, 1, -1), (View.lateral_left, 0, -1), (View.lateral_right, 0, 1)],
)
def test_the_tube_stands_where_the_view_says(frame, view, axis, sign):
    expected = np.zeros(3)
    expected[axis] = sign * DEFAULT_SOD_MM
    assert AcquisitionGeometry.of_frame(frame, view).source_mm == pytest.approx(expected)
    depth = frame.size_mm[axis]
    assert beam_parameter(depth, DEFAULT_SOD_MM, view) == pytest.approx(
        sign * 0.5 * depth / DEFAULT_SOD_MM
    )


def test_a_pa_exposure_turned_by_90_degrees_is_a_left_lateral(frame):
    turned = AcquisitionGeometry.of_frame(frame, View.pa).rotated(about_si=90.0)
    lateral = AcquisitionGeometry.of_frame(frame, View.lateral_left)
    for name in ("ray", "column", "row", "source_mm"):
        assert getattr(turned, name) == pytest.approx(getattr(lateral, name), abs=1e-9)


def test_rotation_keeps_distances_and_right_angles(frame):
    before = AcquisitionGeometry.of_frame(frame, View.lateral_right)
    after = before.rotated(13.0, -24.0, 35.0)
    isocentre = np.array(frame.center_mm)
    assert np.linalg.norm(after.source_mm - isocentre) == pytest.approx(DEFAULT_SOD_MM)
    axes = np.array([after.ray, after.column, after.row])
    assert axes @ axes.T == pytest.approx(np.eye(3), abs=1e-12)
    a, b = (g.pixel_centres(4, 6).reshape(-1, 3) for g in (before, after))
    distances = [np.linalg.norm(p[:, None] - p[None], axis=-1) for p in (a, b)]
    assert distances[1] == pytest.approx(distances[0])
    assert not np.allclose(a, b)


@pytest.mark.parametrize(("sid", "sod"), [(1000.0, 1200.0), (1000.0, 0.0), (1000.0, -5.0)])
def test_impossible_distances_are_refused(frame, sid, sod):
    with pytest.raises(ValueError, match="SOD"):
        AcquisitionGeometry.of_frame(frame, View.pa, sid_mm=sid, sod_mm=sod)
