"""The 6-DoF search finds the pose a DRR was made in."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from axon_backend.errors import AxonInputError, Cancelled
from axon_backend.imaging.ct import CTVolume, read_ct
from axon_backend.imaging.frame import find_thorax_frame
from axon_backend.imaging.matching import local_contrast
from axon_backend.imaging.radiograph import Radiograph
from axon_backend.imaging.view import View
from axon_backend.physics.drr import render_drr
from axon_backend.physics.geometry import rotation_matrix
from axon_backend.physics.pose import Pose
from axon_backend.registration import rigid, similarity
from axon_backend.registration.place import PlacedView, place_by_matrix, place_by_search
from axon_backend.registration.pose_similarity import planar_matrix, rotation
from axon_backend.registration.rigid import Level, register_pose
from axon_backend.registration.unknowns import Unknowns

VIEWS = {"frontal": View.pa, "lateral": View.lateral_left}
POSE = Pose((6.0, -4.0, 8.0), (15.0, -10.0, 20.0))


def target_error_mm(found: Pose, true: Pose, frame) -> float:
    """Mean distance of where the two poses take points all over the chest."""
    at = np.linspace(-0.5, 0.5, 7)
    points = np.stack(np.meshgrid(at, at, at), -1).reshape(-1, 3) * frame.size_mm
    points = points + frame.center_mm
    away = found.matrix(frame.center_mm) - true.matrix(frame.center_mm)
    return float(np.linalg.norm(points @ away[:3, :3].T + away[:3, 3], axis=1).mean())


def drrs(ct, frame, pose, size=160, roles=("frontal", "lateral")) -> dict[str, PlacedView]:
    return {
        r: PlacedView.from_drr(
            render_drr(ct, pose.geometry(frame, VIEWS[r]), size).numpy(), VIEWS[r]
        )
        for r in roles
    }


@pytest.fixture(scope="module")
def placed(chest_ct, frame):
    return drrs(chest_ct, frame, POSE)


@pytest.fixture
def quick(monkeypatch):
    """A short search, for what does not depend on where it ends."""
    monkeypatch.setattr(rigid, "CANDIDATES", 5)
    monkeypatch.setattr(rigid, "LEVELS", (Level(24, 32, 2, 4, 1.0), Level(32, 32, 1, 3, 0.3)))


@pytest.mark.slow
def test_two_views_fix_the_pose_within_a_millimetre(tools, chest_ct, frame, placed):
    """The greys of an X-ray set instead of line integrals, and another tube distance."""
    true = Pose(POSE.rotation_deg, POSE.translation_mm, 1500.0)
    taken = {
        role: PlacedView.from_drr(tools.as_taken(view.pixels), view.view)
        for role, view in drrs(chest_ct, frame, true).items()
    }
    found = register_pose(taken, chest_ct, frame, start=Pose(sid_mm=1500.0))
    assert target_error_mm(Pose(), true, frame) > 20.0
    assert target_error_mm(found.pose, true, frame) < 1.0
    assert found.pose.sid_mm == 1500.0 and found.improved
    assert {q.verdict for q in found.quality.values()} == {"good"} and found.warnings == ()


@pytest.mark.slow
def test_an_unknown_tube_distance_is_found_with_the_pose(tools, chest_ct, frame):
    """Wall stand assumed, bedside true: the pose fits better with the distance sought, and the
    distance comes out near the true one."""
    true = Pose(POSE.rotation_deg, POSE.translation_mm, 1100.0)
    taken = {
        role: PlacedView.from_drr(tools.as_taken(view.pixels), view.view)
        for role, view in drrs(chest_ct, frame, true).items()
    }
    kept = register_pose(taken, chest_ct, frame)
    sought = register_pose(taken, chest_ct, frame, find_sid=True)
    assert kept.pose.sid_mm == 1800.0
    assert sought.pose.sid_mm == pytest.approx(1100.0, rel=0.1)
    assert target_error_mm(sought.pose, true, frame) < 1.0
    assert sought.history[-1][1] > kept.history[-1][1]


def test_the_tube_stays_where_chests_are_taken_from():
    placed = {"frontal": PlacedView.from_drr(np.zeros((8, 8), np.float32), View.pa)}
    unknowns = Unknowns(placed, ("frontal",), 1800.0, find_sid=True)
    assert len(unknowns.units) == 6 + 4 + 1
    for value, sid_mm in ((0.0, 1800.0), (np.log(1.2), 2160.0), (9.0, 2600.0), (-9.0, 800.0)):
        sid_scale = unknowns.split(torch.tensor([0.0] * 10 + [float(value)]))[2]
        assert float(sid_scale) * 1800.0 == pytest.approx(sid_mm, rel=1e-5)


@pytest.mark.slow
def test_the_demonstration_case_is_found_within_a_millimetre():
    from axon_backend.cli.demo import DATA

    ct = read_ct(DATA / "ct_lidc0306.nii.gz")
    frame = find_thorax_frame(ct)
    true = Pose((-7.0, 5.0, -9.0), (20.0, -25.0, -15.0))
    found = register_pose(drrs(ct, frame, true, 256), ct, frame)
    assert target_error_mm(Pose(), true, frame) > 30.0
    assert target_error_mm(found.pose, true, frame) < 1.0


@pytest.mark.slow
def test_xrays_placed_before_the_pose_was_known_move_with_it(tools, chest_ct, frame):
    """Where CT points fall on the radiographs: millimetres off after the search in the plane, and
    much closer with the pose, if the radiographs may follow it."""
    true = Pose((7.0, -5.0, 6.0), (10.0, -15.0, 8.0))
    at = np.linspace(-0.45, 0.45, 5)
    points = np.stack(np.meshgrid(at, at, at), -1).reshape(-1, 3) * frame.size_mm
    points = points + frame.center_mm
    taken, matrices = {}, {}
    for role, view in VIEWS.items():
        geometry = true.geometry(frame, view)
        detector = replace(geometry, extent_mm=(400.0, 380.0))  # pixels of 1 mm
        image = render_drr(chest_ct, detector, (380, 400)).numpy()
        taken[role] = Radiograph(tools.as_taken(image), (1.0, 1.0), view)
        w, h = geometry.extent_mm
        matrices[role] = np.array([[w, 0, 199.5 - w / 2], [0, h, 189.5 - h / 2], [0, 0, 1]])

    def on_radiograph(matrix, pose, view):
        return pose.geometry(frame, view).project(points) @ matrix[:2, :2].T + matrix[:2, 2]

    def error_mm(role, matrix, pose):
        there = on_radiograph(matrices[role], true, VIEWS[role])
        away = on_radiograph(matrix, pose, VIEWS[role]) - there
        return np.linalg.norm(away, axis=1).mean()

    placed = {role: place_by_search(x, chest_ct, frame, size=192) for role, x in taken.items()}
    found = register_pose(placed, chest_ct, frame)
    for role in VIEWS:
        before = error_mm(role, placed[role].registration.matrix, Pose())
        after = error_mm(role, found.matrices[role], found.pose)
        assert before > 3.5 and after < 1.5
        again = place_by_matrix(
            taken[role], chest_ct, frame, found.matrices[role], pose=found.pose, size=192
        ).registration.quality
        # The square field holds more air, and its noise, than the canonical view.
        assert again.ncc == pytest.approx(found.quality[role].ncc, abs=0.08)
    assert found.pose.rotation_deg == pytest.approx(true.rotation_deg, abs=1.5)


def test_held_xrays_and_drrs_stay_where_they_are(quick, chest_ct, frame, placed):
    assert register_pose(placed, chest_ct, frame).matrices == {}
    radiograph = Radiograph(placed["frontal"].pixels, None, View.pa)
    whole = np.array([[160, 0, -0.5], [0, 160, -0.5], [0, 0, 1.0]])
    mixed = {**placed, "frontal": place_by_matrix(radiograph, chest_ct, frame, whole, size=160)}
    assert set(register_pose(mixed, chest_ct, frame).matrices) == {"frontal"}
    assert register_pose(mixed, chest_ct, frame, hold=("frontal",)).matrices == {}


def test_a_planar_movement_on_paper():
    """5 degrees clockwise (y points down), 10 % larger, 3 mm to the right, 2 mm up."""
    shift = torch.tensor([5.0, 100 * np.log(1.1), 3.0, -2.0], dtype=torch.float64)
    moved = planar_matrix(shift).numpy() @ [100.0, 0.0, 1.0]
    turned = 110 * np.cos(np.radians(5)), 110 * np.sin(np.radians(5))
    assert moved == pytest.approx([turned[0] + 3, turned[1] - 2, 1])


def test_one_view_fixes_what_it_shows(chest_ct, frame):
    found = register_pose(drrs(chest_ct, frame, POSE, roles=("frontal",)), chest_ct, frame)
    assert found.pose.rotation_deg == pytest.approx(POSE.rotation_deg, abs=1.0)
    across, up = found.pose.translation_mm[0], found.pose.translation_mm[2]
    assert (across, up) == pytest.approx((15.0, 20.0), abs=1.5)


@pytest.mark.slow
def test_a_ct_that_ends_within_the_image_does_not_mislead(chest_ct, frame, placed):
    cut = 14  # slices of 4 mm off each end, into the frame's 260 mm of 360
    x, y, z = chest_ct.origin_mm
    short = CTVolume(chest_ct.hu[cut:-cut], chest_ct.spacing_mm, (x, y, z + 4.0 * cut))
    found = register_pose(placed, short, frame)
    assert target_error_mm(found.pose, POSE, frame) < 2.0


def test_the_same_seed_gives_the_same_pose_and_another_does_not(quick, chest_ct, frame, placed):
    first, second, other = (register_pose(placed, chest_ct, frame, seed=s) for s in (3, 3, 4))
    assert first == second
    assert other.pose != first.pose


def test_every_step_is_told_and_remembered(quick, chest_ct, frame, placed):
    told = []
    found = register_pose(placed, chest_ct, frame, progress=lambda *a: told.append(a))
    total = 5 + 2 * 4 + 3
    assert [t[:2] for t in told] == [(i + 1, total) for i in range(total)]
    assert found.history == [(step, best) for step, _, best in told]
    same_resolution = [best for _, _, best in told[5 : 5 + 8]]
    assert same_resolution == sorted(same_resolution)


@pytest.mark.parametrize("after", [0, 3, 7, 14])
def test_cancel_takes_effect_before_the_next_step(quick, chest_ct, frame, placed, after):
    told = []
    with pytest.raises(Cancelled, match=f"before step {after + 1} of 16"):
        register_pose(
            placed,
            chest_ct,
            frame,
            progress=lambda *a: told.append(a),
            cancelled=lambda: len(told) >= after,
        )
    assert len(told) == after


def test_the_true_pose_as_start_is_not_made_worse(chest_ct, frame, placed, monkeypatch):
    monkeypatch.setattr(rigid, "CANDIDATES", 4)
    monkeypatch.setattr(rigid, "LEVELS", (Level(32, 48, 1, 3, 2.0),))
    found = register_pose(placed, chest_ct, frame, start=POSE)
    assert target_error_mm(found.pose, POSE, frame) < 1.0


def test_another_image_is_called_poor(quick, chest_ct, frame):
    noise = np.random.default_rng(0).random((128, 128)).astype(np.float32)
    found = register_pose({"frontal": PlacedView.from_drr(noise, View.pa)}, chest_ct, frame)
    assert found.quality["frontal"].verdict == "poor"
    assert any("frontal: the registration is poor" in w for w in found.warnings)


def test_what_cannot_be_searched_is_refused_in_words(quick, chest_ct, frame, placed):
    with pytest.raises(AxonInputError, match="no X-ray"):
        register_pose({}, chest_ct, frame)
    blank = PlacedView.from_drr(np.zeros((128, 128), np.float32), View.pa)
    with pytest.raises(AxonInputError, match="frontal X-ray is blank"):
        register_pose({"frontal": blank}, chest_ct, frame)
    view = placed["frontal"]
    outside = PlacedView(view.pixels, np.zeros_like(view.valid), view.view)
    with pytest.raises(AxonInputError, match="outside the chest"):
        register_pose({"frontal": outside}, chest_ct, frame)
    with pytest.raises(AxonInputError, match="CT in the beam"):
        register_pose(placed, chest_ct, frame, start=Pose(translation_mm=(0, 0, 900.0)))


def test_the_rotation_with_a_gradient_is_the_geometry_s():
    angles = (13.0, -24.0, 35.0)
    ours = rotation(torch.tensor(angles, dtype=torch.float64)).numpy()
    assert ours == pytest.approx(rotation_matrix(*angles), abs=1e-12)


def test_the_measures_with_a_gradient_are_those_that_score_the_result(reference):
    other = np.roll(reference, (3, -5), (0, 1)) ** 1.5
    valid = np.ones_like(reference, bool)
    valid[:30] = False
    weight = torch.as_tensor(valid.astype(np.float32))
    a, b = (local_contrast(p, valid) for p in (reference, other))
    ta, tb = (local_contrast(torch.as_tensor(p), weight) for p in (reference, other))
    np.testing.assert_allclose(ta.numpy(), a, atol=2e-3)
    assert float(similarity.ncc(ta, tb, weight)) == pytest.approx(
        similarity.ncc(a, b, valid), abs=1e-3
    )
    assert float(similarity.combined_ncc(ta, ta, weight)) == pytest.approx(1.0, abs=1e-5)
    assert float(similarity.combined_ncc(ta, -ta, weight)) == pytest.approx(-1.0, abs=1e-5)
