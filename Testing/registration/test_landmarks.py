"""Landmarks recover the map that made them."""

import numpy as np
import pytest

from axon_backend.errors import AxonInputError
from axon_backend.registration.landmarks import fit_landmarks

ASPECT = 0.75  # a lateral view: 240 mm wide, 320 mm high
RNG = np.random.default_rng(0)
POINTS = RNG.random((6, 2))


def similarity(angle=8.0, per_height=900.0, shift=(40.0, -25.0)) -> np.ndarray:
    """Canonical [0, 1]^2 -> pixels: square in millimetres, so x is ``ASPECT`` of y."""
    a = np.radians(angle)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    matrix = np.eye(3)
    matrix[:2, :2] = per_height * turn @ np.diag([ASPECT, 1.0])
    matrix[:2, 2] = shift
    return matrix


AFFINE = np.array([[700.0, -60.0, 12.0], [95.0, 1100.0, 30.0], [0, 0, 1.0]])


def pixels(matrix: np.ndarray, points=POINTS) -> np.ndarray:
    return points @ matrix[:2, :2].T + matrix[:2, 2]


@pytest.mark.parametrize("count", [2, 3, 4, 6])
def test_an_exact_similarity_is_recovered(count):
    true = similarity()
    fit = fit_landmarks(POINTS[:count], pixels(true)[:count], aspect=ASPECT)
    np.testing.assert_allclose(fit.matrix, true, atol=1e-8)
    assert fit.kind == "similarity" and fit.rms_px < 1e-8
    assert fit.residuals_px.shape == (count,)


@pytest.mark.parametrize(("count", "kind"), [(3, "affine"), (5, "affine"), (5, "auto")])
def test_an_exact_affine_map_is_recovered(count, kind):
    fit = fit_landmarks(POINTS[:count], pixels(AFFINE)[:count], aspect=ASPECT, kind=kind)
    np.testing.assert_allclose(fit.matrix, AFFINE, atol=1e-8)
    assert fit.kind == "affine" and fit.rms_px < 1e-8


def test_an_affine_map_is_not_a_similarity():
    fit = fit_landmarks(POINTS, pixels(AFFINE), aspect=ASPECT, kind="similarity")
    a, b = fit.matrix[:2, 0] / ASPECT, fit.matrix[:2, 1]
    assert np.linalg.norm(a) == pytest.approx(np.linalg.norm(b)) and a @ b == pytest.approx(
        0, abs=1e-6
    )
    assert fit.rms_px > 10
    assert fit.rms_px == pytest.approx(np.sqrt((fit.residuals_px**2).mean()))


def test_noise_does_not_talk_auto_into_more_freedom():
    chosen = [
        fit_landmarks(
            POINTS,
            pixels(similarity()) + np.random.default_rng(i).normal(0, 5, (6, 2)),
            aspect=ASPECT,
        ).kind
        for i in range(20)
    ]
    assert chosen.count("similarity") >= 17


def test_the_pair_that_is_wrong_stands_out():
    moved = pixels(similarity())
    moved[2] += (80, 0)
    fit = fit_landmarks(POINTS, moved, aspect=ASPECT, kind="similarity")
    assert fit.residuals_px.argmax() == 2


LINE = np.linspace(0.1, 0.9, 5)[:, None] * (0.5, 1.0)


def test_points_on_a_line_make_a_similarity_but_no_affine_map():
    true = similarity()
    fit = fit_landmarks(LINE, pixels(true, LINE), aspect=ASPECT)
    np.testing.assert_allclose(fit.matrix, true, atol=1e-6)
    with pytest.raises(AxonInputError, match="one line"):
        fit_landmarks(LINE, pixels(true, LINE), aspect=ASPECT, kind="affine")


@pytest.mark.parametrize(
    ("view", "image", "kind", "message"),
    [
        (POINTS[:1], POINTS[:1], "auto", "1 landmark pair is set; at least 2"),
        (POINTS[:0], POINTS[:0], "auto", "0 landmark pairs are set"),
        (POINTS[:2], 900 * POINTS[:2], "affine", "at least 3"),
        (POINTS[:3], POINTS[:2], "auto", "3 landmarks in the reference and 2 in the X-ray"),
        (POINTS[:2] * [[1], [np.nan]], POINTS[:2], "auto", "no position"),
        (np.full((3, 2), 0.5), POINTS[:3], "auto", "reference lie at one point"),
        (POINTS[:3], np.full((3, 2), 400.0), "auto", "X-ray lie at one point"),
        (POINTS, pixels(similarity()) * (-1, 1), "auto", "mirrored"),
    ],
)
def test_pairs_that_cannot_be_used_are_refused_in_words(view, image, kind, message):
    with pytest.raises(AxonInputError, match=message):
        fit_landmarks(view, image, aspect=ASPECT, kind=kind)
