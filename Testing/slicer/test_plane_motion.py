"""Moving a flat picture in its plane: known answers."""

from pathlib import Path

import numpy as np
import pytest

MODULE = Path(__file__).resolve().parents[2] / "AXONReconstruction"


@pytest.fixture
def motion(monkeypatch):
    monkeypatch.syspath_prepend(str(MODULE))
    from AXONReconstructionLib.scene import plane_motion

    return plane_motion


@pytest.fixture
def coronal(motion):
    """A frontal field: the viewer's right is the patient's left."""
    return motion.Field(
        np.array([5.0, -40.0, 200.0]), np.array([-1.0, 0, 0]), np.array([0, 0, 1.0])
    )


def at(matrix, point):
    return matrix[:3, :3] @ point + matrix[:3, 3]


def test_the_start_puts_the_pictures_middle_on_the_fields(motion, coronal):
    start = motion.startPlacement([1.0, 2.0, 3.0], coronal)
    assert np.allclose(at(start, np.array([1.0, 2.0, 3.0])), coronal.centre)
    assert motion.motionOf(start, start, coronal) == motion.PlanarMotion(0.0, 0.0, 0.0, 100.0)


def test_figures_are_read_back(motion, coronal):
    start = motion.startPlacement([7.0, 0.0, -3.0], coronal)
    placed = motion.moved(start, coronal, turn=12.0, ratio=1.25)
    placed = motion.moved(placed, coronal, across=30.0, up=-8.0)
    found = motion.motionOf(placed, start, coronal)
    assert np.allclose(
        [found.across, found.up, found.turn, found.size], [30.0, -8.0, 12.0, 125.0], atol=1e-9
    )


def test_signs_are_those_of_the_screen(motion, coronal):
    """Across goes to the patient's left in a frontal view, a turn moves the top to the right."""
    start = motion.startPlacement(coronal.centre, coronal)
    assert np.allclose(
        at(motion.moved(start, coronal, across=10), coronal.centre) - coronal.centre, [-10, 0, 0]
    )
    top = coronal.centre + [0, 0, 100.0]
    turned = at(motion.moved(start, coronal, turn=90), top) - coronal.centre
    assert np.allclose(turned, [-100, 0, 0])


def test_turning_and_sizing_leave_the_fields_middle(motion, coronal):
    start = motion.startPlacement([0.0, 0, 0], coronal)
    shifted = motion.moved(start, coronal, across=20, up=5)
    under = np.linalg.inv(shifted) @ [*coronal.centre, 1.0]
    turned = motion.moved(shifted, coronal, turn=33, ratio=0.7)
    assert np.allclose((turned @ under)[:3], coronal.centre)


def test_flattening_takes_tilts_and_depth_away_and_nothing_else(motion, coronal):
    start = motion.startPlacement([0.0, 0, 0], coronal)
    placed = motion.moved(start, coronal, across=4, up=9, turn=7, ratio=1.1)
    assert np.allclose(motion.flattened(placed, start, coronal), placed)
    deep = placed.copy()
    deep[1, 3] += 25.0
    assert np.allclose(motion.flattened(deep, start, coronal), placed)
    c, s = np.cos(0.2), np.sin(0.2)
    tilt = np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1.0]])
    flat = motion.flattened(tilt @ placed, start, coronal)
    assert np.allclose(flat[1], [0, 1, 0, placed[1, 3]])
