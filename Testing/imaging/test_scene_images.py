"""Images from a host's memory meet the same checks as files; corrections by hand are recorded."""

import numpy as np
import pytest
from imaging_synthetic import CT_MARKER_ZYX, brightest_point, chest_ct, chest_image

from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct import read_ct
from axon_backend.imaging.radiograph import Radiograph, View, read_radiograph
from axon_backend.imaging.scene import corrected, ct_from_array, radiograph_from_pixels
from axon_backend.imaging.write import write_png

IMAGE = chest_image()
HU = chest_ct()
TO_LPS = np.array([[10.0, 0, 0, -155], [0, 10, 0, -155], [0, 0, 10, -115], [0, 0, 0, 1]])


def notes(image) -> str:
    return " | ".join(image.assumptions)


def test_pixels_in_memory_are_read_like_the_same_image_in_a_file(tmp_path):
    file = read_radiograph(write_png(tmp_path / "x.png", IMAGE, bits=16), view="pa")
    pixels = np.rint(IMAGE.clip(0, 1) * 65535) / 65535
    memory = radiograph_from_pixels(pixels, None, "pa", source="x")
    assert memory.pixels == pytest.approx(file.pixels, abs=1e-4)
    assert (memory.view, memory.pixel_mm, memory.source) == (View.pa, None, "x")


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64])
def test_any_kind_of_number_and_a_plane_of_a_volume_will_do(dtype):
    pixels = np.rint(IMAGE * 200).astype(dtype)
    xray = radiograph_from_pixels(pixels[None], (2.5, 2.4), View.ap, assumptions=["from a node"])
    assert xray.pixels.dtype == np.float32 and xray.pixels.shape == IMAGE.shape
    assert np.array_equal(xray.pixels, pixels.astype(np.float32))
    assert (xray.pixel_mm, xray.view) == ((2.5, 2.4), View.ap)
    assert xray.assumptions[0] == "from a node"


def test_dark_bones_are_seen_and_turned_unless_the_user_knows():
    dark = 1 - IMAGE
    assert "inverted" in notes(radiograph_from_pixels(dark, view="pa"))
    assert np.corrcoef(
        radiograph_from_pixels(dark, view="pa").pixels.ravel(), IMAGE.ravel()
    )[0, 1] > 0.99  # fmt: skip
    as_shown = radiograph_from_pixels(dark, view="pa", invert=False)
    assert np.array_equal(as_shown.pixels, dark.astype(np.float32))


def test_what_is_not_known_is_said():
    said = notes(radiograph_from_pixels(IMAGE))
    assert "PA is assumed" in said and "pixel size" in said


@pytest.mark.parametrize("size", [1.0, (1.0, 1.0), 0.0001, (50.0, 50.0)])
def test_a_spacing_that_says_nothing_is_not_believed(size):
    xray = radiograph_from_pixels(IMAGE, size, "pa")
    assert xray.pixel_mm is None and "pixel size" in notes(xray)


@pytest.mark.parametrize(
    ("pixels", "more", "message"),
    [
        (np.zeros((4, 70, 70)), {}, "Chest 1 .* 4 x 70 x 70"),
        (np.zeros((70, 70), complex), {}, "Chest 1 .* complex"),
        (np.zeros((20, 70)), {}, "Chest 1 is too small"),
        (np.zeros((70, 70)), {}, "Chest 1 .* grey level"),
        (np.full((70, 70), np.nan), {}, "Chest 1 .* not numbers"),
        (IMAGE, {"view": "oblique"}, "Unknown view 'oblique'"),
        (IMAGE, {"pixel_mm": -1}, "Chest 1: .* positive lengths"),
        (IMAGE, {"pixel_mm": (1, 2, 3)}, "Chest 1: .* positive lengths"),
    ],
)
def test_what_is_no_x_ray_is_refused_with_its_name(pixels, more, message):
    with pytest.raises(AxonInputError, match=message):
        radiograph_from_pixels(pixels, source="Chest 1", **more)


def test_a_ct_in_any_orientation():
    # i to Superior, j to Right, k to Anterior
    turned = np.transpose(HU, (1, 2, 0))[::-1, ::-1]
    to_lps = np.array([[0, -10.0, 0, 155], [0, 0, -10, 155], [10, 0, 0, -115], [0, 0, 0, 1]])
    ct = ct_from_array(turned, to_lps, "node", ["as in the scene"])
    assert np.array_equal(ct.hu, HU)
    assert ct.origin_mm == pytest.approx((-155, -155, -115))
    assert (ct.source, ct.assumptions) == ("node", ("as in the scene",))
    expected = np.array((-155, -155, -115)) + 10 * np.array(CT_MARKER_ZYX[::-1])
    assert brightest_point(ct) == pytest.approx(expected)


def test_a_ct_in_memory_is_read_like_its_file(tmp_path):
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(HU)
    image.SetSpacing((10.0, 10.0, 10.0))
    image.SetOrigin((-155.0, -155.0, -115.0))
    sitk.WriteImage(image, str(tmp_path / "ct.nrrd"))
    file, memory = read_ct(tmp_path / "ct.nrrd"), ct_from_array(HU, TO_LPS)
    assert np.array_equal(file.hu, memory.hu)
    assert (file.spacing_mm, file.origin_mm) == (memory.spacing_mm, memory.origin_mm)


@pytest.mark.parametrize(
    ("hu", "to_lps", "message"),
    [
        (HU[0], TO_LPS, "2 axes"),
        (HU[:4], TO_LPS, "too small"),
        (np.clip(HU, -1000, 0) / 1000, TO_LPS, "normalised"),
        (HU, np.eye(3), "4 x 4"),
        (HU, np.diag([0.01, 0.01, 0.01, 1]), "covers only"),
        (HU, np.diag([0.0, 1, 1, 1]), "no usable geometry"),
        (np.where(HU > 1000, np.nan, HU), TO_LPS, "not numbers"),
    ],
)
def test_what_is_no_ct_is_refused_with_its_name(hu, to_lps, message):
    with pytest.raises(AxonInputError, match=message) as refusal:
        ct_from_array(hu, to_lps, "CT 7")
    assert "CT 7" in str(refusal.value)


XRAY = Radiograph(IMAGE.astype(np.float32), None, View.pa, "x.png", ("PA is assumed",))


def test_corrections_change_what_they_say_and_nothing_else():
    better = corrected(XRAY, view="ap", pixel_mm=2.2)
    assert (better.view, better.pixel_mm) == (View.ap, (2.2, 2.2))
    assert np.array_equal(better.pixels, XRAY.pixels)
    assert better.source == XRAY.source
    assert better.assumptions == (
        "PA is assumed",
        "corrected by hand: the view is ap, not pa",
        "corrected by hand: the pixel size is 2.2 x 2.2 mm",
    )
    assert corrected(XRAY) == XRAY


def test_inverting_and_flipping_are_their_own_opposites():
    once = corrected(XRAY, invert=True, flip_lr=True)
    expected = (XRAY.pixels.max() + XRAY.pixels.min() - XRAY.pixels)[:, ::-1]
    assert np.array_equal(once.pixels, expected) and once.pixels.flags.c_contiguous
    assert "inverted" in notes(once) and "left and right were exchanged" in notes(once)
    back = corrected(once, invert=True, flip_lr=True)
    assert back.pixels == pytest.approx(XRAY.pixels, abs=1e-6)
    assert back.assumptions == XRAY.assumptions


def test_a_second_correction_takes_the_place_of_the_first():
    twice = corrected(corrected(XRAY, pixel_mm=2.2), pixel_mm=(2.1, 2.0))
    assert notes(twice).count("pixel size") == 1 and "2.1 x 2" in notes(twice)
    unknown = corrected(twice, pixel_mm=0)
    assert unknown.pixel_mm is None
    assert notes(unknown).count("pixel size") == 1 and "pixel size is unknown" in notes(unknown)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixel_mm": 0.0001}, "would show 0 x 0 mm"),
        ({"pixel_mm": "wide"}, "positive lengths"),
        ({"view": "up"}, "up"),
    ],
)
def test_a_correction_that_cannot_be_is_refused(change, message):
    with pytest.raises(AxonInputError, match=message):
        corrected(XRAY, **change)
