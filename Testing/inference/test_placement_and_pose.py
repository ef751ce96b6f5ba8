"""Registrations that the user accepted, and a patient who stood another way than the CT lies."""

import numpy as np
import pytest

from axon_backend.errors import AxonInputError
from axon_backend.imaging.frame import find_thorax_frame, resample_to_frame
from axon_backend.imaging.radiograph import Radiograph
from axon_backend.imaging.view import View
from axon_backend.inference import case
from axon_backend.inference.case_files import CaseInputs
from axon_backend.inference.reconstruct import reconstruct
from axon_backend.physics.drr import render_drr
from axon_backend.physics.geometry import AcquisitionGeometry
from axon_backend.physics.pose import Pose

TILTED = Pose(rotation_deg=(4.0, -3.0, 6.0), translation_mm=(8.0, -5.0, 12.0), sid_mm=1500.0)


@pytest.fixture(scope="module")
def xray(phantom_ct):
    """The phantom's PA DRR on its canonical field, 300 x 300 pixels."""
    frame = find_thorax_frame(phantom_ct)
    image = render_drr(phantom_ct, AcquisitionGeometry.of_frame(frame, View.pa), 300)
    return Radiograph(image.numpy(), None, View.pa, "pa.png")


@pytest.fixture
def run(bundle, phantom_ct):
    def call(*xrays, **more):
        given = {"ct": phantom_ct, "stages": ("coarse",), "steps": {"coarse": 1}, "bundle": bundle}
        return reconstruct(*xrays, **(given | more))

    return call


def field(columns: float, rows: float, left: float = 0.0, top: float = 0.0) -> np.ndarray:
    """The placement of a field of view of that many pixels."""
    return np.array([[columns, 0, left - 0.5], [0, rows, top - 0.5], [0, 0, 1]])


def test_an_accepted_placement_gives_what_the_search_gave(run, xray):
    searched = run(xray, seed=1)
    matrix = searched.views["frontal"].registration.matrix
    accepted = run(xray, seed=1, placements={"frontal": matrix})
    assert np.array_equal(accepted.volume, searched.volume)
    assert accepted.record["metrics"] == searched.record["metrics"]
    assert [r.record["registration"][0]["accepted_by_user"] for r in (searched, accepted)] == [
        False, True,
    ]  # fmt: skip


def test_nothing_is_searched_for_where_a_placement_is_given(run, xray, monkeypatch):
    def forbidden(*args, **kwargs):
        raise AssertionError("searched")

    monkeypatch.setattr("axon_backend.registration.pipeline.place_by_search", forbidden)
    # Half of the field, from its middle: the view shows the image's middle enlarged.
    result = run(xray, placements={"frontal": field(150, 150, 75, 75)})
    shown = result.views["frontal"].pixels
    assert shown[512, 512] == pytest.approx(xray.pixels[149:151, 149:151].mean(), rel=0.02)
    assert shown[0, 0] == pytest.approx(xray.pixels[74:76, 74:76].mean(), rel=0.05)
    assert result.record["registration"][0]["matrix"] == field(150, 150, 75, 75).tolist()


@pytest.mark.parametrize(
    ("placements", "message"),
    [
        ({"lateral": field(9, 9)}, "lateral X-ray, but the X-rays of this case are: frontal"),
        ({"front": field(9, 9)}, "the front X-ray"),
        ({"frontal": np.eye(2)}, "not a 3 x 3 matrix"),
        ({"frontal": np.full((3, 3), np.nan)}, "finite"),
        ({"frontal": field(-300, 300, 300)}, "mirrors"),
    ],
)
def test_a_placement_that_cannot_be_is_refused_before_any_work(run, xray, placements, message):
    seen = []
    with pytest.raises(AxonInputError, match=message):
        run(xray, placements=placements, progress=lambda stage, *_: seen.append(stage))
    assert "register" not in seen


def test_a_placement_beside_the_field_is_refused(run, xray):
    with pytest.raises(AxonInputError, match="contains no part of the frontal X-ray"):
        run(xray, placements={"frontal": field(300, 300, 5000)})


def test_a_view_rendered_from_the_ct_has_no_placement(run):
    with pytest.raises(AxonInputError, match="X-rays of this case are: none"):
        run(None, placements={"frontal": field(9, 9)})


def test_the_pose_at_rest_changes_no_voxel(run):
    plain, posed = run(None), run(None, pose=Pose())
    assert np.array_equal(plain.volume, posed.volume)
    assert np.array_equal(plain.truth["coarse"], posed.truth["coarse"])
    assert plain.record["reprojection"] == posed.record["reprojection"]


def brightest_mm(hu, spacing_mm, origin_mm) -> np.ndarray:
    """LPS centre of the marker."""
    return origin_mm + np.argwhere(hu > 0.7 * hu.max()).mean(0)[::-1] * spacing_mm


def test_the_truth_is_the_ct_moved_by_the_pose(phantom_ct, run):
    """The marker lands where the pose's matrix carries it."""
    marker_mm = brightest_mm(phantom_ct.hu, phantom_ct.spacing_mm, phantom_ct.origin_mm)
    frame = find_thorax_frame(phantom_ct)
    motion = TILTED.matrix(frame.center_mm)
    moved = resample_to_frame(phantom_ct, frame, 96, motion)
    found = brightest_mm(moved, frame.spacing_mm(96), frame.origin_mm(96))
    assert found == pytest.approx((motion @ [*marker_mm, 1])[:3], abs=1.0)
    assert np.linalg.norm(found - marker_mm) > 10

    result = run(None, pose=TILTED)
    assert result.frame == frame
    assert np.array_equal(result.truth["coarse"], resample_to_frame(phantom_ct, frame, 16, motion))
    assert Pose.from_dict(result.record["pose"]) == TILTED


def test_a_drr_in_place_of_an_x_ray_shows_the_posed_patient(phantom_ct, run, monkeypatch):
    monkeypatch.setattr(case, "VIEW_SIZE", 256)
    frame = find_thorax_frame(phantom_ct)
    result = run(None, pose=TILTED, render_lateral=True)
    for role, view in (("frontal", View.pa), ("lateral", View.lateral_left)):
        expected = render_drr(phantom_ct, TILTED.geometry(frame, view), 256).numpy()
        assert np.array_equal(result.views[role].pixels, expected)


def test_a_nearer_tube_is_known_to_the_networks_and_to_the_reprojection(phantom_ct, run):
    near = Pose(sid_mm=1000.0)
    placed = case.PlacedCase(CaseInputs({}, None), run(None).views, find_thorax_frame(phantom_ct))
    posed = case.PlacedCase(placed.case, placed.views, placed.frame, near)
    plain = case.network_views(placed).beam
    # SOD 800 instead of 1600 mm: the rays diverge twice as much.
    assert case.network_views(posed).beam.numpy() == pytest.approx(2 * plain.numpy())
    assert posed.exposure("frontal").sod_mm == 800.0
    assert posed.ct_motion is None


def test_without_a_ct_the_pose_moves_the_atlas(run, xray):
    result = run(xray, ct=None, pose=TILTED, placements={"frontal": field(300, 300)})
    plain = run(xray, ct=None, placements={"frontal": field(300, 300)})
    assert not np.array_equal(result.views["frontal"].reference, plain.views["frontal"].reference)
    assert np.array_equal(result.views["frontal"].pixels, plain.views["frontal"].pixels)
    assert result.truth == {} and result.record["pose"] == TILTED.as_dict()
