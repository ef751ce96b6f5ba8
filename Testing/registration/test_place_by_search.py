"""An X-ray of a CT's own patient is brought onto the canonical view of its frame."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from axon_backend.imaging.radiograph import Radiograph
from axon_backend.imaging.view import View
from axon_backend.physics.drr import render_drr
from axon_backend.physics.geometry import AcquisitionGeometry
from axon_backend.registration.place import PlacedView, place_by_search

PIXEL_MM = 0.8


def photograph(ct, frame, view, rows=(10, 470), columns=(25, 500)):
    """A square-pixel X-ray and the true matrix from the canonical view's [0, 1]^2 to its pixels.

    A detector of 420 x 400 mm (in the isocentre plane) around the isocentre, cut to the given
    rows and columns.
    """
    canonical = AcquisitionGeometry.of_frame(frame, view)
    detector = replace(canonical, extent_mm=(525 * PIXEL_MM, 500 * PIXEL_MM))
    image = render_drr(ct, detector, (500, 525)).numpy()
    image = image[slice(*rows), slice(*columns)]
    w, h = (e / PIXEL_MM for e in canonical.extent_mm)
    matrix = np.array(
        [
            [w, 0, 525 / 2 - w / 2 - 0.5 - columns[0]],
            [0, h, 500 / 2 - h / 2 - 0.5 - rows[0]],
            [0, 0, 1],
        ]
    )
    return image, matrix


@pytest.mark.parametrize("view", [View.pa, View.ap, View.lateral_left, View.lateral_right])
def test_the_patients_own_xray_is_placed_within_half_a_percent(tools, chest_ct, frame, view):
    image, true = photograph(chest_ct, frame, view)
    xray = Radiograph(tools.as_taken(image), (PIXEL_MM, PIXEL_MM), view)
    placed = place_by_search(xray, chest_ct, frame, size=256)
    found = placed.registration
    assert tools.residual(found.matrix, true) < 0.005
    assert found.quality.verdict == "good"
    # The frame's own width and height, which differ, come back in millimetres.
    width = frame.size_mm[0] if view.is_frontal else frame.size_mm[1]
    assert placed.size_mm == pytest.approx((width, frame.size_mm[2]), rel=0.015)
    # The pixels too are those of the canonical DRR.
    canonical = render_drr(chest_ct, AcquisitionGeometry.of_frame(frame, view), 256).numpy()
    assert placed.pixels.shape == placed.valid.shape == placed.reference.shape == (256, 256)
    assert np.corrcoef(placed.reference.ravel(), canonical.ravel())[0, 1] > 0.999
    inner = placed.valid
    assert np.corrcoef(placed.pixels[inner], canonical[inner])[0, 1] > 0.9


def test_pixels_that_are_not_square_are_placed_as_well(tools, chest_ct, frame):
    """The same radiograph read out with rows 1.25 times as far apart: the similarity knows one
    scale."""
    image, true = photograph(chest_ct, frame, View.lateral_left, rows=(10, 470))
    rows = 460 * 4 // 5
    coarse = ndimage.zoom(image, (rows / 460, 1), order=1, grid_mode=True, mode="nearest")
    true = np.diag([1, 0.8, 1]) @ true
    true[1, 2] += 0.5 * (0.8 - 1)  # whole numbers are pixel centres
    xray = Radiograph(tools.as_taken(coarse), (PIXEL_MM * 1.25, PIXEL_MM), View.lateral_left)
    placed = place_by_search(xray, chest_ct, frame, size=256)
    assert tools.residual(placed.registration.matrix, true) < 0.005
    assert placed.size_mm == pytest.approx((frame.size_mm[1], frame.size_mm[2]), rel=0.015)


def test_what_the_xray_does_not_show_is_not_valid(tools, chest_ct, frame):
    image, true = photograph(chest_ct, frame, View.pa, rows=(110, 500), columns=(60, 525))
    placed = place_by_search(Radiograph(image, None, View.pa), chest_ct, frame, size=200)
    assert tools.residual(placed.registration.matrix, true) < 0.005
    first = -true[1, 2] / true[1, 1] * 200  # the canonical row of the image's first
    assert first > 10
    assert not placed.valid[: int(first) - 3].any()
    assert placed.valid[int(first) + 3 :, 5:-5].all()
    assert placed.size_mm is None


def test_without_registration_the_image_is_the_field(chest_ct, frame):
    image = render_drr(chest_ct, AcquisitionGeometry.of_frame(frame, View.pa), 300).numpy()
    xray = Radiograph(image, (1.1, 1.2), View.pa)
    placed = place_by_search(xray, chest_ct, frame, size=300, search=False)
    np.testing.assert_allclose(placed.pixels, image, atol=1e-5)
    assert placed.valid.all()
    assert placed.size_mm == pytest.approx((300 * 1.2 / 1.1, 300 * 1.1 / 1.1))
    assert placed.as_dict("frontal")["verdict"] == "not registered"


def test_another_patients_proportions_need_the_stretch(tools, chest_ct, frame):
    image, true = photograph(chest_ct, frame, View.pa)
    wider = np.repeat(image, 6, 1)[:, ::5]  # every column 1.2 times
    true = np.diag([1.2, 1, 1]) @ true
    xray = Radiograph(np.ascontiguousarray(wider), (PIXEL_MM, PIXEL_MM), View.pa)
    placed = place_by_search(xray, chest_ct, frame, size=256, affine=True)
    assert tools.residual(placed.registration.matrix, true) < 0.01
    assert placed.size_mm == pytest.approx((1.2 * frame.size_mm[0], frame.size_mm[2]), rel=0.02)


def test_the_record_of_a_registration(chest_ct, frame):
    image, _ = photograph(chest_ct, frame, View.pa)
    placed = place_by_search(Radiograph(image, None, View.pa), chest_ct, frame, size=128)
    record = placed.as_dict("frontal")
    assert record["view"] == "pa" and record["verdict"] == "good"
    assert np.array_equal(np.array(record["matrix"]), placed.registration.matrix)
    drr = PlacedView.from_drr(image, View.pa)
    assert drr.warnings == () and drr.as_dict("frontal")["verdict"] == "rendered in place"
