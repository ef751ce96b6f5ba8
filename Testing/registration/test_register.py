"""The registration facade: which placement is used, what comes back, what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from axon_backend.errors import AxonInputError, Cancelled
from axon_backend.imaging.radiograph import Radiograph
from axon_backend.imaging.view import View
from axon_backend.physics.drr import render_drr
from axon_backend.physics.pose import Pose
from axon_backend.registration import Landmarks, pipeline, register, rigid

PIXELS = 400
# Points of the canonical view, not on one line.
POINTS = np.array([[0.2, 0.2], [0.8, 0.25], [0.5, 0.5], [0.3, 0.8], [0.75, 0.7]])


@pytest.fixture(scope="module")
def xrays(chest_ct, frame):
    """Both views on a square detector of 1 mm pixels around the isocentre."""
    found = {}
    for role, view in (("frontal", View.pa), ("lateral", View.lateral_left)):
        geometry = replace(Pose().geometry(frame, view), extent_mm=(PIXELS, PIXELS))
        image = render_drr(chest_ct, geometry, PIXELS).numpy()
        found[role] = Radiograph(image, (1.0, 1.0), view)
    return found


def true_matrix(frame, view: View) -> np.ndarray:
    """Canonical view in [0, 1]^2 -> pixels of such an X-ray."""
    w, h = Pose().geometry(frame, view).extent_mm
    corner = (PIXELS - 1) / 2
    return np.array([[w, 0, corner - w / 2], [0, h, corner - h / 2], [0, 0, 1]])


@pytest.fixture
def no_search(monkeypatch):
    def forbidden(*_args, **_kwargs):
        raise AssertionError("searched")

    monkeypatch.setattr(pipeline, "place_by_search", forbidden)


def test_given_placements_are_used_as_they_are(xrays, chest_ct, frame, no_search):
    given = {role: true_matrix(frame, xray.view) for role, xray in xrays.items()}
    told = []
    found = register(
        xrays, chest_ct, frame, placements=given, size=128, progress=lambda *a: told.append(a)
    )
    assert list(found.views) == ["frontal", "lateral"] and found.frame == frame
    assert all(np.array_equal(found.matrices[role], given[role]) for role in given)
    assert found.views["frontal"].pixels.shape == (128, 128)
    assert {v.registration.quality.verdict for v in found.views.values()} == {"good"}
    assert not found.refused and found.search is None and found.pose == Pose()
    assert told == [("register", 0, 2), ("register", 1, 2), ("register", 2, 2)]


def test_landmarks_place_an_xray_where_they_are(xrays, chest_ct, frame, no_search):
    true = true_matrix(frame, View.pa)
    pairs = Landmarks(POINTS, POINTS @ true[:2, :2].T + true[:2, 2])
    one = {"frontal": xrays["frontal"]}
    found = register(one, chest_ct, frame, landmarks={"frontal": pairs}, size=128)
    np.testing.assert_allclose(found.matrices["frontal"], true, atol=1e-6)
    fit = found.landmarks["frontal"]
    assert fit.kind == "similarity" and fit.rms_px == pytest.approx(0.0, abs=1e-6)


def test_without_a_method_an_xray_covers_the_field(xrays, chest_ct, frame):
    one = {"frontal": xrays["frontal"]}
    found = register(one, chest_ct, frame, method="none", size=64)
    whole = np.array([[PIXELS, 0, -0.5], [0, PIXELS, -0.5], [0, 0, 1.0]])
    assert np.array_equal(found.matrices["frontal"], whole)


def test_the_pose_search_holds_given_placements_unless_told(
    xrays, chest_ct, frame, no_search, monkeypatch
):
    monkeypatch.setattr(rigid, "CANDIDATES", 2)
    monkeypatch.setattr(rigid, "LEVELS", (rigid.Level(32, 48, 1, 4, 0.3),))
    given = {role: true_matrix(frame, xray.view) for role, xray in xrays.items()}
    start = Pose((0.0, 3.0, 0.0), (4.0, 0.0, 0.0))
    told = []
    settings = {"method": "pose", "placements": given, "pose": start, "size": 64}
    held = register(xrays, chest_ct, frame, **settings, progress=lambda *a: told.append(a))
    assert held.search is not None and held.search.improved and held.pose == held.search.pose
    assert held.pose != start and held.pose.sid_mm == start.sid_mm
    assert all(np.array_equal(held.matrices[role], given[role]) for role in given)
    assert [t[0] for t in told] == ["register"] * 3 + ["pose"] * 6 and told[-1][1:3] == (6, 6)
    free = register(xrays, chest_ct, frame, **settings, hold=("lateral",))
    assert set(free.search.matrices) == {"frontal"}
    assert not np.array_equal(free.matrices["frontal"], given["frontal"])
    assert np.array_equal(free.matrices["lateral"], given["lateral"])


def test_what_cannot_be_registered_is_refused(xrays, chest_ct, frame):
    one = {"frontal": xrays["frontal"]}
    with pytest.raises(AxonInputError, match="no X-ray to register"):
        register({}, chest_ct, frame)
    with pytest.raises(AxonInputError, match="lateral X-ray.*are: frontal"):
        register(one, chest_ct, frame, placements={"lateral": true_matrix(frame, View.pa)})
    with pytest.raises(AxonInputError, match="CT of the same patient"):
        register(one, replace(chest_ct, is_atlas=True), frame, method="pose")
    with pytest.raises(ValueError, match="'rigid'"):
        register(one, chest_ct, frame, method="rigid")
    with pytest.raises(Cancelled):
        register(one, chest_ct, frame, cancelled=lambda: True)
    named = replace(chest_ct, source="atlas")  # a patient's CT in a folder of that name
    with pytest.raises(Cancelled):
        register(one, named, frame, method="pose", cancelled=lambda: True)
