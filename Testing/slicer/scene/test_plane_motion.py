"""In-plane motion of an image: known answers."""

import numpy as np
import pytest


@pytest.fixture
def motion(module_path):
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


def test_the_initial_placement_centres_the_image_on_the_field(motion, coronal):
    start = motion.startPlacement([1.0, 2.0, 3.0], coronal)
    assert np.allclose(at(start, np.array([1.0, 2.0, 3.0])), coronal.centre)
    assert motion.motionOf(start, start, coronal) == motion.PlanarMotion(0.0, 0.0, 0.0, 100.0)


def test_motion_parameters_are_recovered(motion, coronal):
    start = motion.startPlacement([7.0, 0.0, -3.0], coronal)
    placed = motion.moved(start, coronal, rotation=12.0, factor=1.25)
    placed = motion.moved(placed, coronal, horizontal=30.0, vertical=-8.0)
    found = motion.motionOf(placed, start, coronal)
    assert np.allclose(
        [found.horizontal, found.vertical, found.rotation, found.scale],
        [30.0, -8.0, 12.0, 125.0],
        atol=1e-9,
    )


def test_signs_match_the_view(motion, coronal):
    """Horizontal is towards the patient's left in a frontal view; rotation is clockwise."""
    start = motion.startPlacement(coronal.centre, coronal)
    assert np.allclose(
        at(motion.moved(start, coronal, horizontal=10), coronal.centre) - coronal.centre,
        [-10, 0, 0],
    )
    top = coronal.centre + [0, 0, 100.0]
    turned = at(motion.moved(start, coronal, rotation=90), top) - coronal.centre
    assert np.allclose(turned, [-100, 0, 0])


def test_rotation_and_scale_keep_the_centre_of_the_field(motion, coronal):
    start = motion.startPlacement([0.0, 0, 0], coronal)
    shifted = motion.moved(start, coronal, horizontal=20, vertical=5)
    under = np.linalg.inv(shifted) @ [*coronal.centre, 1.0]
    turned = motion.moved(shifted, coronal, rotation=33, factor=0.7)
    assert np.allclose((turned @ under)[:3], coronal.centre)


def test_flattening_removes_out_of_plane_motion_only(motion, coronal):
    start = motion.startPlacement([0.0, 0, 0], coronal)
    placed = motion.moved(start, coronal, horizontal=4, vertical=9, rotation=7, factor=1.1)
    assert np.allclose(motion.flattened(placed, start, coronal), placed)
    deep = placed.copy()
    deep[1, 3] += 25.0
    assert np.allclose(motion.flattened(deep, start, coronal), placed)
    c, s = np.cos(0.2), np.sin(0.2)
    tilt = np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1.0]])
    flat = motion.flattened(tilt @ placed, start, coronal)
    assert np.allclose(flat[1], [0, 1, 0, placed[1, 3]])
