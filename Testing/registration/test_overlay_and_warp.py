"""What a registration's image shows, and what a gentle warp may do."""

import numpy as np
import pytest

from axon_backend.errors import Cancelled
from axon_backend.imaging.radiograph import Radiograph
from axon_backend.imaging.view import View
from axon_backend.physics.drr import render_drr
from axon_backend.physics.geometry import AcquisitionGeometry
from axon_backend.registration.bspline import MOST, find_warp
from axon_backend.registration.overlay import SIZE, overlay_image
from axon_backend.registration.place import PlacedView, place_by_search
from axon_backend.registration.resample import resample_image

HERE = np.array([[256, 0, -0.5], [0, 256, -0.5], [0, 0, 1.0]])
ALL = np.ones((256, 256), bool)


def test_equal_images_are_grey_and_a_shift_shows_colour(reference):
    same = overlay_image(PlacedView(reference, ALL, View.pa, reference), "red-cyan")
    assert same.shape == (SIZE, SIZE, 3) and same.dtype == np.uint8
    assert np.abs(same[..., 0].astype(int) - same[..., 1]).max() <= 1
    moved = PlacedView(np.roll(reference, 12, 1), ALL, View.pa, reference)
    colour = overlay_image(moved, "red-cyan").astype(int)
    assert np.abs(colour[..., 0] - colour[..., 1]).max() > 60


def test_the_checkerboard_shows_both_in_turn(reference):
    negative = PlacedView(-reference, ALL, View.pa, reference)
    board = overlay_image(negative, "checkerboard")[..., 0].astype(int)
    own = overlay_image(PlacedView(reference, ALL, View.pa, reference), "checkerboard")
    side = SIZE // 8
    assert np.array_equal(board[:side, side : 2 * side], own[:side, side : 2 * side, 0])
    assert np.abs(board[:side, :side] + own[:side, :side, 0] - 255).max() <= 2


def test_outlines_lie_on_the_reference_and_nothing_is_drawn_outside_the_radiograph(reference):
    valid = ALL.copy()
    valid[:, 200:] = False
    shown = overlay_image(PlacedView(reference, valid, View.pa, reference), "outlines")
    yellow = (shown == (255, 217, 26)).all(-1)
    assert 0.005 < yellow.mean() < 0.2
    assert not shown[~yellow & (np.indices((SIZE, SIZE))[1] > 402)].any()
    assert overlay_image(PlacedView(reference, ALL, View.pa, reference)).shape == (
        SIZE, 3 * SIZE, 3,
    )  # fmt: skip


def bent(image: np.ndarray, most: float) -> tuple[np.ndarray, np.ndarray]:
    """Breathing: the lower half moves down, most in the middle; and the shift that undoes it."""
    y, x = (np.indices((256, 256)) + 0.5) / 256
    shift = np.stack([np.zeros_like(x), most * np.sin(np.pi * x) * np.clip(2 * y - 0.6, 0, 1)])
    return resample_image(image, HERE, 256, -shift)[0], shift


def test_a_warp_takes_breathing_back(tools, reference):
    moved, true = bent(reference, 0.02)
    body = np.s_[1, 60:230, 40:216]
    assert true[body].mean() > 0.008
    for radiograph, left in ((moved**1.3, 0.3), (tools.as_taken(moved), 0.6)):
        found = find_warp(radiograph, reference, ALL)
        assert np.abs(found - true)[body].mean() < left * true[body].mean()


def test_a_warp_stays_gentle_and_does_not_fold(reference):
    moved, _ = bent(reference, 0.08)
    found = find_warp(moved, reference, ALL)
    assert np.abs(found).max() <= MOST + 1e-6
    for axis in (0, 1):  # x + shift grows with x, y + shift with y
        assert (1 + 256 * np.diff(found[axis], axis=1 - axis)).min() > 0.2


def test_a_warp_is_asked_for_and_kept_only_where_it_fits_better(tools, chest_ct, frame):
    """A radiograph of the chest as it is, and one that breathing has bent."""
    drr = render_drr(chest_ct, AcquisitionGeometry.of_frame(frame, View.pa), 256).numpy()
    plain, warped = (
        place_by_search(
            Radiograph(bent(drr, 0.02)[0], None, View.pa), chest_ct, frame, size=128, warp=w
        )
        for w in (False, True)
    )
    assert plain.warp is None and plain.as_dict("frontal")["largest_warp"] is None
    assert warped.warp.shape == (2, 128, 128)
    assert 0.005 < warped.as_dict("frontal")["largest_warp"] <= MOST + 1e-3
    assert warped.registration.quality.score > plain.registration.quality.score
    assert np.array_equal(warped.registration.matrix, plain.registration.matrix)


def test_a_warp_stops_when_asked(reference):
    with pytest.raises(Cancelled):
        find_warp(reference, reference, ALL, cancelled=lambda: True)
