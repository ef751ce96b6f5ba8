"""A pose of the patient: what it does to points and to the image, on paper and rendered."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from axon_backend.errors import AxonInputError
from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.imaging.view import View
from axon_backend.physics.attenuation import AttenuationVolume
from axon_backend.physics.drr import render_drr
from axon_backend.physics.geometry import AcquisitionGeometry
from axon_backend.physics.pose import Pose

POSE = Pose((7.0, -9.0, 12.0), (15.0, -20.0, 25.0))
FRAME = ThoraxFrame((12.0, -40.0, 300.0), (300.0, 220.0, 280.0))


def moved_point(pose: Pose, point: tuple[float, float, float], frame=FRAME) -> np.ndarray:
    return (pose.matrix(frame.center_mm) @ [*point, 1.0])[:3]


def test_the_centre_only_shifts_and_distances_stay():
    assert moved_point(POSE, FRAME.center_mm) == pytest.approx([27.0, -60.0, 325.0])
    points = np.random.default_rng(0).uniform(-200, 200, (8, 3))
    moved = np.array([moved_point(POSE, tuple(p)) for p in points])
    before, after = (np.linalg.norm(p[:, None] - p[None], axis=-1) for p in (points, moved))
    assert after == pytest.approx(before)


def test_quarter_turns_on_paper():
    """Right-handed about LPS axes; a point 10 mm from the centre along each axis."""
    x, y, z = np.eye(3) * 10
    centre = np.array(FRAME.center_mm)
    for rotation, start, end in (
        ((90.0, 0, 0), z, -y),
        ((0, 90.0, 0), z, x),
        ((0, 0, 90.0), -y, x),
        ((90.0, 0, 90.0), z, x),  # LR first (z -> -y), then SI (-y -> x)
    ):
        moved = moved_point(Pose(rotation), tuple(centre + start))
        assert moved - centre == pytest.approx(end, abs=1e-9)


@pytest.mark.parametrize("view", View)
def test_moved_geometry_projects_ct_points_as_the_canonical_one_projects_moved_points(view):
    geometry = POSE.geometry(FRAME, view)
    canonical = AcquisitionGeometry.of_frame(FRAME, view)
    points = np.random.default_rng(1).uniform(-100, 100, (10, 3)) + FRAME.center_mm
    moved = np.array([moved_point(POSE, tuple(p)) for p in points])
    assert geometry.project(points) == pytest.approx(canonical.project(moved), abs=1e-12)
    there_and_back = geometry.moved(POSE.matrix(FRAME.center_mm))
    for name in ("isocentre_mm", "ray", "column", "row"):
        assert getattr(there_and_back, name) == pytest.approx(getattr(canonical, name), abs=1e-9)


@pytest.mark.parametrize("view", View)
def test_moved_geometry_is_a_moved_ct(frame, centred, view):
    """Round blobs can be drawn in their new places without any resampling."""
    shape, spacing = (66, 56, 70), (4.0, 4.0, 4.0)
    origin = np.array(centred(shape, spacing))
    z, y, x = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    mm = origin + 4.0 * np.stack([x, y, z], -1)

    def blobs(pose: Pose) -> torch.Tensor:
        volume = np.zeros(shape)
        for place, width in (((50.0, -30.0, 40.0), 9.0), ((-60.0, 20.0, -50.0), 12.0)):
            away = mm - moved_point(pose, place, frame)
            volume += np.exp(-0.5 * (away**2).sum(-1) / width**2)
        return torch.as_tensor(volume)

    args = (spacing, tuple(origin))
    of_moved_ct = render_drr(
        AttenuationVolume(blobs(POSE), *args), AcquisitionGeometry.of_frame(frame, view), 64
    )
    of_moved_beam = render_drr(
        AttenuationVolume(blobs(Pose()), *args), POSE.geometry(frame, view), 64
    )
    assert float((of_moved_beam - of_moved_ct).abs().max()) < 0.015 * float(of_moved_ct.max())
    unmoved = render_drr(
        AttenuationVolume(blobs(Pose()), *args), AcquisitionGeometry.of_frame(frame, view), 64
    )
    assert float((unmoved - of_moved_ct).abs().max()) > 0.5 * float(of_moved_ct.max())


def test_a_ct_resampled_by_itk_into_its_pose_gives_the_same_image(phantom_ct, ct_of_image):
    frame = ThoraxFrame((76.0, -182.0, 660.0), (300.0, 200.0, 280.0))
    pose = Pose((4.0, -5.0, 6.0), (8.0, -6.0, 10.0))
    image = phantom_ct.to_sitk()
    back = np.linalg.inv(pose.matrix(frame.center_mm))
    transform = sitk.AffineTransform(back[:3, :3].ravel().tolist(), back[:3, 3].tolist())
    # A larger grid, so that nothing leaves it.
    size, origin = [n + 24 for n in image.GetSize()], np.array(image.GetOrigin()) - 12 * 4.0
    moved = sitk.Resample(image, size, transform, sitk.sitkLinear, origin, (4.0,) * 3,
                          np.eye(3).ravel().tolist(), -1000.0)  # fmt: skip
    for view in (View.pa, View.lateral_left):
        images = []
        for ct, p in ((ct_of_image(moved), Pose()), (phantom_ct, pose)):
            images.append(render_drr(ct, p.geometry(frame, view), 64))
        a, b = images
        assert float((a - b).norm()) < 0.015 * float(a.norm())


MARKERS = {"up": (0, 0, 90), "left": (90, 0, 0), "front": (0, -80, 0), "middle": (0, 0, 0)}


@pytest.mark.parametrize(
    ("pose", "marker", "view", "moves"),
    [
        # Bowing: the head end comes forwards, which a lateral view shows on the viewer's left.
        (Pose((10.0, 0, 0)), "up", View.lateral_left, (-1, 0)),
        (Pose((-10.0, 0, 0)), "up", View.lateral_left, (1, 0)),
        (Pose((10.0, 0, 0)), "up", View.lateral_right, (-1, 0)),
        # Leaning to the patient's left, which is the viewer's right.
        (Pose((0, 10.0, 0)), "up", View.pa, (1, 0)),
        (Pose((0, -10.0, 0)), "up", View.pa, (-1, 0)),
        (Pose((0, 10.0, 0)), "left", View.ap, (0, 1)),  # the left shoulder goes down
        # Turning the front to the patient's left.
        (Pose((0, 0, 10.0)), "front", View.pa, (1, 0)),
        (Pose((0, 0, -10.0)), "front", View.ap, (-1, 0)),
        # Shifts.
        (Pose(translation_mm=(20.0, 0, 0)), "middle", View.pa, (1, 0)),
        (Pose(translation_mm=(-20.0, 0, 0)), "middle", View.ap, (-1, 0)),
        (Pose(translation_mm=(0, 20.0, 0)), "middle", View.lateral_left, (1, 0)),
        (Pose(translation_mm=(0, -20.0, 0)), "middle", View.lateral_right, (-1, 0)),
        (Pose(translation_mm=(0, 0, 20.0)), "middle", View.pa, (0, -1)),
        (Pose(translation_mm=(0, 0, -20.0)), "middle", View.lateral_left, (0, 1)),
    ],
)
def test_which_way_the_image_moves(frame, centred, pose, marker, view, moves):
    """``moves``: to the viewer's right, down; the other direction hardly changes."""
    shape, spacing = (64, 50, 60), (5.0, 5.0, 5.0)
    origin = centred(shape, spacing)
    volume = torch.zeros(shape)
    i, j, k = (round((m - o) / 5.0) for m, o in zip(MARKERS[marker], origin, strict=True))
    volume[k, j, i] = 1.0

    def centre(p: Pose) -> np.ndarray:
        image = render_drr(
            AttenuationVolume(volume, spacing, origin), p.geometry(frame, view), 128
        ).numpy()
        at = (np.arange(128) + 0.5) / 128
        return np.array([image.sum(0) @ at, image.sum(1) @ at]) / image.sum()

    shift = centre(pose) - centre(Pose())
    along, across = (0, 1) if moves[0] else (1, 0)
    assert shift[along] * moves[along] > 0.03
    assert abs(shift[across]) < 0.01


def test_a_nearer_tube_magnifies_what_is_close_to_it():
    near = Pose(sid_mm=1200.0).geometry(FRAME, View.pa)
    assert (near.sid_mm, near.sod_mm) == (1200.0, 1000.0)
    point = np.array(FRAME.center_mm) + (30.0, 100.0, 0.0)  # 100 mm towards the tube
    u, _ = near.project(point)
    assert (u - 0.5) * near.extent_mm[0] == pytest.approx(30.0 * 1000 / (1000 - 100))


def test_identity():
    assert Pose().is_identity and not Pose().moves_patient
    assert Pose().geometry(FRAME, View.pa) == AcquisitionGeometry.of_frame(FRAME, View.pa)
    assert np.array_equal(Pose().matrix(FRAME.center_mm), np.eye(4))
    assert not Pose(sid_mm=1500.0).is_identity
    assert not replace(Pose(), rotation_deg=(0, 0, 1)).is_identity


def test_dictionary_round_trip_and_defaults():
    assert Pose.from_dict(POSE.as_dict()) == POSE
    assert Pose.from_dict({"translation_mm": [1, 2, 3]}) == Pose(translation_mm=(1, 2, 3))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tilt": 3}, "has no tilt"),
        ({"rotation_deg": [1, 2]}, "three finite numbers"),
        ({"rotation_deg": ["a", 0, 0]}, "cannot be read"),
        ({"rotation_deg": 5}, "cannot be read"),
        ({"translation_mm": [float("nan"), 0, 0]}, "three finite numbers"),
        ({"sid_mm": 150.0}, "150 mm"),
        ({"sid_mm": 1e9}, "between 600 and 10000 mm"),
        ({"sid_mm": float("nan")}, "nan mm"),
        ({"sid_mm": None}, "cannot be read"),
    ],
)
def test_a_pose_that_cannot_be_is_refused(values, message):
    with pytest.raises(AxonInputError, match=message):
        Pose.from_dict(values)


def test_source_and_detector_move_rigidly_only():
    geometry = AcquisitionGeometry.of_frame(FRAME, View.pa)
    for diagonal in ((2, 2, 2, 1), (-1, 1, 1, 1)):
        with pytest.raises(ValueError, match="rigid"):
            geometry.moved(np.diag(np.array(diagonal, float)))
