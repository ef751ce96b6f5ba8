"""Which end of the grey scale is bone, and which part of the image is border."""

from pathlib import Path

import numpy as np
import pytest
from imaging_synthetic import MARKER, as_integers, chest_ct, chest_image
from PIL import Image

import axon_backend
from axon_backend.imaging.borders import crop_border
from axon_backend.imaging.polarity import UNCLEAR, bone_brightness, bones_are_bright
from axon_backend.imaging.radiograph import View, read_radiograph
from axon_backend.imaging.scene import radiograph_from_pixels

IMAGE = chest_image()


@pytest.mark.parametrize("gamma", [0.4, 1.0, 2.5])
@pytest.mark.parametrize("frontal", [True, False])
def test_the_score_is_odd_and_blind_to_gamma(gamma, frontal):
    score = bone_brightness(IMAGE, frontal)
    assert bone_brightness(1 - IMAGE, frontal) == pytest.approx(-score, abs=1e-3)
    assert bone_brightness(3 * IMAGE**gamma + 1, frontal) == pytest.approx(score, abs=0.1)


def test_projections_of_a_chest_score_bright():
    attenuation = np.maximum(chest_ct()[3:21] + 1000, 0)
    assert bone_brightness(attenuation.sum(1)[::-1], frontal=True) > 3 * UNCLEAR
    assert bone_brightness(attenuation.sum(2)[::-1], frontal=False) > 3 * UNCLEAR


def test_noise_is_unclear():
    noise = np.random.default_rng(1).random((256, 256))
    assert abs(bone_brightness(noise)) < UNCLEAR


@pytest.mark.parametrize("view", [View.pa, View.ap])
def test_a_negative_without_tags_is_found_and_recorded(tmp_path, view):
    stored = as_integers(IMAGE, 8)
    Image.fromarray(stored).save(tmp_path / "a.png")
    Image.fromarray(255 - stored).save(tmp_path / "b.png")
    right = read_radiograph(tmp_path / "a.png", view=view)
    turned = read_radiograph(tmp_path / "b.png", view=view)
    offset = right.pixels - turned.pixels
    assert np.allclose(offset, offset[0, 0], atol=1e-6)
    assert any("it was inverted" in note for note in turned.assumptions)
    assert "bones are bright by the layout of the image" in right.assumptions


def test_the_caller_wins_over_the_layout(tmp_path):
    stored = 255 - as_integers(IMAGE, 8)
    Image.fromarray(stored).save(tmp_path / "x.png")
    kept = read_radiograph(tmp_path / "x.png", invert=False)
    assert np.allclose(kept.pixels, stored / 255, atol=1e-6)


@pytest.mark.parametrize("level", [0.0, 1.0])
@pytest.mark.parametrize("negative", [False, True])
def test_frames_are_cropped_before_the_polarity_is_judged(tmp_path, level, negative):
    image = np.clip(1 - IMAGE if negative else IMAGE, 0.05, 0.95)
    framed = np.full((240, 220), level)
    framed[30:190, 50:178] = image
    Image.fromarray(as_integers(framed, 8)).save(tmp_path / "x.png")
    radiograph = read_radiograph(tmp_path / "x.png")
    assert radiograph.pixels.shape == IMAGE.shape
    note = (
        "a uniform border was cropped: 30 pixels at the top, 50 pixels at the bottom, "
        "50 pixels at the left, 42 pixels at the right"
    )
    assert note in radiograph.assumptions
    assert (radiograph.pixels[MARKER] >= 0.94).all()
    assert any("it was inverted" in n for n in radiograph.assumptions) == negative


def test_a_page_around_a_shutter_is_cropped_with_its_letter():
    image = np.clip(IMAGE, 0.05, 0.95)
    shutter = np.zeros((200, 170))
    shutter[20:180, 20:148] = image
    shutter[2:6, 150:154] = 1.0  # a burnt-in letter
    page = np.ones((260, 240))
    page[30:230, 30:200] = shutter
    cropped, cut = crop_border(page)
    assert np.array_equal(cropped, image)
    assert cut == (50, 50, 50, 62)


@pytest.mark.parametrize(("border", "ink"), [(0.0, 1.0), (1.0, 0.0)])
def test_labels_burnt_into_a_border_go_with_it(border, ink):
    """Two labels in opposite corners, each too long for a line of border to pass as uniform."""
    rows, cols = IMAGE.shape
    page = np.full((rows + 60, cols + 80), border, np.float32)
    page[30:-30, 40:-40] = 0.05 + 0.9 * IMAGE
    page[5:20, 5 : cols // 3] = ink
    page[-20:-5, -cols // 3 : -5] = ink
    cropped, cut = crop_border(page)
    assert cut == (30, 30, 40, 40)
    assert np.array_equal(cropped, page[30:-30, 40:-40])


@pytest.mark.parametrize("grey", [0.18, 0.5, 0.9])
def test_the_window_of_a_viewer_is_cut_off_in_any_grey(grey):
    """A tool bar with icons, a panel with another image beside the X-ray, and its name under it."""
    rows, cols = IMAGE.shape
    page = np.full((rows + 90, cols + 120), grey, np.float32)
    page[50 : 50 + rows, 80 : 80 + cols] = IMAGE
    page[:30] = 0.35
    page[8:22, 10:200:3] = 0.7
    page[60:120, 10:60] = np.random.default_rng(0).random((60, 50))
    page[-20:-10, 100:160] = 0.97
    cropped, cut = crop_border(page)
    assert cut == (50, 40, 80, 40)
    assert np.array_equal(cropped, IMAGE.astype(np.float32))


def test_one_of_two_images_in_a_viewer_is_not_chosen():
    rows, cols = IMAGE.shape
    page = np.full((rows + 20, 2 * cols + 30), 0.3, np.float32)
    for left in (10, 20 + cols):
        page[10 : 10 + rows, left : left + cols] = IMAGE
    assert crop_border(page)[1] == (0, 0, 0, 0)


def test_a_screenshot_is_not_taken_for_an_inverted_image(tmp_path):
    page = np.full((240, 300), 45, np.uint8)
    page[40:200, 90:218] = as_integers(IMAGE, 8)
    page[:20] = 120
    Image.fromarray(page).save(tmp_path / "x.png")
    radiograph = read_radiograph(tmp_path / "x.png")
    assert radiograph.pixels.shape == IMAGE.shape
    assert (radiograph.pixels[MARKER] >= 0.99).all()


def test_a_image_without_a_border_is_left_alone():
    cropped, cut = crop_border(IMAGE)
    assert cut == (0, 0, 0, 0)
    assert np.array_equal(cropped, IMAGE)


def test_a_crop_that_would_leave_little_is_not_made():
    page = np.zeros((300, 300))
    page[100:200, 100:200] = chest_image(100, 100)
    assert crop_border(page)[1] == (0, 0, 0, 0)


@pytest.mark.parametrize(("frontal", "per_score"), [(True, 1.5), (False, 3.0)])
def test_the_networks_opinion_is_added_in_log_odds(frontal, per_score):
    alone = bones_are_bright(IMAGE, frontal, 0.5)
    assert alone == pytest.approx(bone_brightness(IMAGE, frontal))
    against = bones_are_bright(IMAGE, frontal, 0.9) - alone
    assert against == pytest.approx(-np.log(9) / per_score)
    for dark, most in ((1.0, -4), (0.0, 4)):
        assert bones_are_bright(IMAGE, frontal, dark) - alone == pytest.approx(most / per_score)


@pytest.mark.parametrize("around", [0.93, 0.35, 0.05])
def test_a_photograph_of_an_xray_is_not_inverted(around):
    """On a light box, a desk and in the dark, with falling light and noise."""
    rng = np.random.default_rng(0)
    demo = Path(axon_backend.__file__).parent / "demo_data" / "xray_pa.jpg"
    with Image.open(demo) as opened:
        film = np.asarray(opened.convert("L").resize((400, 400)), float) / 255
    photo = np.full((560, 560), around)
    photo[90:490, 60:460] = film
    y, x = np.mgrid[-1:1:560j, -1:1:560j]
    photo = photo * (1 - 0.1 * (x**2 + y**2)) + 0.01 * rng.random(photo.shape)
    found = radiograph_from_pixels(photo, view="pa")
    assert not any("inverted" in note for note in found.assumptions)
    negative = radiograph_from_pixels(1 - photo, view="pa")
    assert any("inverted" in note for note in negative.assumptions) or negative.warnings
