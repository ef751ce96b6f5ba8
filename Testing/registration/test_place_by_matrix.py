"""A known placement, and a known pose, are taken as they are and judged."""

from dataclasses import replace

import numpy as np
import pytest

from axon_backend.errors import AxonInputError
from axon_backend.imaging.radiograph import Radiograph
from axon_backend.imaging.view import View
from axon_backend.physics.drr import render_drr
from axon_backend.physics.pose import Pose
from axon_backend.registration.place import place_by_matrix, place_by_search

PIXEL_MM = 0.8
DETECTOR = (500, 525)  # rows, columns
POSE = Pose((6.0, -5.0, 9.0), (12.0, -8.0, 10.0), 1500.0)


def photograph(ct, frame, view, pose) -> tuple[np.ndarray, np.ndarray]:
    """An image with square pixels and the matrix from the canonical view's [0, 1]^2 to them."""
    canonical = pose.geometry(frame, view)
    rows, columns = DETECTOR
    detector = replace(canonical, extent_mm=(columns * PIXEL_MM, rows * PIXEL_MM))
    image = render_drr(ct, detector, DETECTOR).numpy()
    w, h = (e / PIXEL_MM for e in canonical.extent_mm)
    matrix = np.array(
        [[w, 0, columns / 2 - w / 2 - 0.5], [0, h, rows / 2 - h / 2 - 0.5], [0, 0, 1]]
    )
    return image, matrix


@pytest.fixture(scope="module")
def xray(chest_ct, frame):
    image, matrix = photograph(chest_ct, frame, View.lateral_left, Pose())
    return Radiograph(image, (PIXEL_MM, PIXEL_MM), View.lateral_left), matrix


def test_the_true_placement_shows_the_drr_itself(xray, chest_ct, frame):
    image, matrix = xray
    placed = place_by_matrix(image, chest_ct, frame, matrix, size=256)
    assert np.array_equal(placed.registration.matrix, matrix)
    assert placed.pixels.shape == placed.reference.shape == (256, 256)
    inside = placed.valid
    assert np.corrcoef(placed.pixels[inside], placed.reference[inside])[0, 1] > 0.999
    canonical = render_drr(chest_ct, Pose().geometry(frame, View.lateral_left), 256).numpy()
    assert np.corrcoef(placed.reference.ravel(), canonical.ravel())[0, 1] > 0.999
    assert placed.registration.quality.verdict == "good"
    assert placed.registration.quality.ncc > 0.95
    assert placed.size_mm == pytest.approx(frame.size_mm[1:])


def test_a_mark_is_left_out_of_the_comparison(xray, chest_ct, frame):
    """A white box that hides part of the chest lowers the score, unless it is known as a mark."""
    image, matrix = xray
    hidden, valid = image.pixels.copy(), np.ones(image.pixels.shape, bool)
    hidden[200:260, 150:330], valid[200:260, 150:330] = image.pixels.max(), False
    seen, told = (
        place_by_matrix(replace(image, pixels=hidden, valid=v), chest_ct, frame, matrix, size=256)
        for v in (None, valid)
    )
    whole = place_by_matrix(image, chest_ct, frame, matrix, size=256)
    scores = [placed.registration.quality.score for placed in (whole, told, seen)]
    assert scores[1] > scores[0] - 0.02 and scores[2] < scores[0] - 0.05
    assert not told.valid.all() and told.covered.all()  # networks are shown what is around it
    assert np.array_equal(told.valid, told.valid & whole.valid)


def test_a_wrong_placement_scores_less_and_a_far_one_is_poor(xray, chest_ct, frame):
    image, matrix = xray
    scores, verdicts = [], []
    for shift in (0.0, 15.0, 150.0):
        wrong = matrix + np.array([[0, 0, shift], [0, 0, 0], [0, 0, 0]])
        quality = place_by_matrix(image, chest_ct, frame, wrong, size=256).registration.quality
        scores.append(quality.ncc)
        verdicts.append(quality.verdict)
    assert scores[0] > scores[1] > scores[2]
    assert verdicts[0] == "good" and verdicts[2] == "poor"


def test_what_a_search_found_is_scored_the_same(xray, chest_ct, frame):
    image, _ = xray
    found = place_by_search(image, chest_ct, frame, size=512).registration
    again = place_by_matrix(image, chest_ct, frame, found.matrix, size=512).registration
    assert again.quality.ncc == pytest.approx(found.quality.ncc, abs=0.02)
    assert again.quality.gradient_ncc == pytest.approx(found.quality.gradient_ncc, abs=0.02)


@pytest.mark.parametrize("view", [View.pa, View.lateral_left])
def test_a_posed_patient_needs_the_pose(tools, chest_ct, frame, view):
    image, matrix = photograph(chest_ct, frame, view, POSE)
    xray = Radiograph(image, None, view)
    with_pose = place_by_matrix(xray, chest_ct, frame, matrix, pose=POSE, size=256)
    without = place_by_matrix(xray, chest_ct, frame, matrix, size=256)
    assert with_pose.registration.quality.ncc > 0.95
    assert with_pose.registration.quality.ncc > without.registration.quality.ncc + 0.1
    found = place_by_search(xray, chest_ct, frame, size=256, pose=POSE)
    assert tools.residual(found.registration.matrix, matrix) < 0.005


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.diag([-400.0, 400.0, 1.0]), "mirrors"),
        (np.diag([0.0, 400.0, 1.0]), "less than one pixel"),
        (np.full((3, 3), np.nan), "finite"),
        (np.eye(2), "3 x 3"),
        (np.diag([400.0, 400.0, 2.0]), "last row"),
    ],
)
def test_matrices_that_place_nothing_are_refused(xray, chest_ct, frame, matrix, message):
    with pytest.raises(AxonInputError, match=message):
        place_by_matrix(xray[0], chest_ct, frame, matrix)


def test_a_patient_moved_out_of_the_beam_is_refused(xray, chest_ct, frame):
    gone = Pose(translation_mm=(0.0, 0.0, 900.0))
    with pytest.raises(AxonInputError, match="CT in the beam"):
        place_by_matrix(*[xray[0], chest_ct, frame, xray[1]], pose=gone, size=64)


def test_an_xray_moved_away_from_the_chest_is_poor(xray, chest_ct, frame):
    away = xray[1] + np.array([[0, 0, 5000.0], [0, 0, 0], [0, 0, 0]])
    placed = place_by_matrix(xray[0], chest_ct, frame, away, size=64)
    assert not placed.valid.any() and placed.registration.quality.verdict == "poor"
