"""The projection test: ranks of patients whose lateral images are known."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from axon_backend.evaluation.projection_test import (
    DEPTHS_MM,
    SHIFTS_MM,
    SIDE,
    canonical_rows,
    cut_lateral,
    projection_scores,
    side_view,
)
from axon_backend.physics.geometry import FIELD_OF_VIEW


def texture(seed: int) -> np.ndarray:
    """(SIDE, SIDE) of smooth structures, unlike for every patient."""
    rng = np.random.default_rng(seed)
    return ndimage.gaussian_filter(rng.standard_normal((SIDE, SIDE)), 3).astype(np.float32)


def lateral_image(side: np.ndarray, depth_mm: float, shift_mm: float) -> np.ndarray:
    """A lateral X-ray of 300 x 300 pixels of 1 mm that shows ``side`` over rows 40 to 260 and that
    depth, around column 150 + shift."""
    rows = ((np.arange(300) - 40) / 220 * SIDE) - 0.5
    columns = ((np.arange(300) - 150 - shift_mm) / depth_mm + 0.5) * SIDE - 0.5
    at = np.stack(np.meshgrid(rows, columns, indexing="ij"))
    return ndimage.map_coordinates(side, at, order=1, mode="nearest").astype(np.float32)


@pytest.fixture(scope="module")
def laterals():
    """Of three patients, each at another depth and shift."""
    placed = zip((200.0, 245.0, 275.0), (0.0, 15.0, -25.0), strict=True)
    return [
        cut_lateral(lateral_image(texture(i), *where), (150.0, 220.0 * FIELD_OF_VIEW), 1.0, 150.0)
        for i, where in enumerate(placed)
    ]


def test_a_perfect_volume_finds_its_own_lateral_image_at_its_depth_and_shift(laterals):
    sides = [texture(i) for i in range(3)]
    rows = projection_scores(sides, laterals, "abc")
    for row in rows:
        assert row["projection"] > 0.97 and row["projection_gradient"] > 0.9
        assert row["projection_others"] < 0.6 and row["projection_rank"] == 0.0
    best = int((laterals[1].vectors.float() @ unit_of(sides[1])).argmax())
    assert DEPTHS_MM[best // len(SHIFTS_MM)] == 245.0
    assert SHIFTS_MM[best % len(SHIFTS_MM)] == 15.0


def unit_of(side: np.ndarray) -> torch.Tensor:
    from axon_backend.evaluation.projection_test import _unit

    return _unit(torch.as_tensor(side))


def test_ranks_by_hand(laterals):
    """The volume of all three is patient b's: b ranks first, and of the other two the one is beaten
    by b alone, the other one by both."""
    same = [texture(1)] * 3
    ranks = [row["projection_rank"] for row in projection_scores(same, laterals, "abc")]
    assert ranks[1] == 0.0 and sorted([ranks[0], ranks[2]]) == [50.0, 100.0]


def test_images_of_the_same_patient_are_not_among_the_others(laterals):
    rows = projection_scores([texture(1)] * 3, laterals, ("p", "p", "q"))
    # Case 0 would be beaten by case 1, but that is the same patient; q is beaten by or beats both.
    everybody = projection_scores([texture(1)] * 3, laterals, "abc")
    beaten_by_c = everybody[0]["projection_rank"] == 100.0
    assert rows[0]["projection_rank"] == (100.0 if beaten_by_c else 0.0)
    alone = projection_scores([texture(0)], laterals[:1], "a")
    assert np.isnan(alone[0]["projection_rank"]) and alone[0]["projection"] > 0.97


def test_equal_scores_count_half(laterals):
    rows = projection_scores([texture(0)] * 2, [laterals[0]] * 2, "ab")
    assert [row["projection_rank"] for row in rows] == [50.0, 50.0]


def test_the_side_view_has_the_head_on_top_and_the_front_on_the_left():
    hu = np.full((SIDE, SIDE, SIDE), -1000.0, np.float32)
    hu[-8:, :16] = 0.0  # at the top (z runs up), in front (y runs to the back)
    side = side_view(hu)
    assert side.shape == (SIDE, SIDE) and side[0, 0] == 1000.0
    assert side[8:].max() == 0.0 == side[:, 16:].max()


def test_rows_of_a_placement():
    """The canonical view spans rows 20 to 120 of the image."""
    placement = np.array([[80.0, 0, 10], [0, 100.0, 20], [0, 0, 1]])
    assert canonical_rows(placement) == (70.0, 100.0)
