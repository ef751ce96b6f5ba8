"""Tinted and marked images: the luminance is read, marks are invalid, colours are refused."""

import io

import numpy as np
import pytest
from imaging_synthetic import as_integers, chest_image, write_xray
from PIL import Image, ImageDraw, ImageFont

from axon_backend.errors import AxonInputError
from axon_backend.imaging.colour import grey_of_colour
from axon_backend.imaging.radiograph import read_radiograph
from axon_backend.imaging.scene import corrected, mask_as_text, mask_of_text

ROWS, COLS = 360, 300
IMAGE = chest_image(ROWS, COLS).astype(np.float32)
GREY = np.dstack([IMAGE] * 3)
Y, X = np.mgrid[0:ROWS, 0:COLS] / ROWS


def as_jpeg(values: np.ndarray, quality: int = 85) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(as_integers(np.clip(values, 0, 1), 8)).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream).convert("RGB"), np.float32) / 255


def agreement(found: np.ndarray) -> float:
    return float(np.corrcoef(found.ravel(), IMAGE.ravel())[0, 1])


TINTS = {
    "bluish": np.dstack([0.55 * IMAGE, 0.75 * IMAGE, 0.05 + 0.95 * IMAGE]),
    "sepia": np.dstack([IMAGE, 0.85 * IMAGE, 0.6 * IMAGE]),
    "one channel": np.dstack([0 * IMAGE, 0 * IMAGE, IMAGE]),
    "of its own gamma": np.dstack([IMAGE**1.4, IMAGE, IMAGE**0.7]),
}


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", TINTS)
def test_a_tint_is_no_mark(name, compressed):
    tinted = as_jpeg(TINTS[name], 95) if compressed else TINTS[name]
    grey = grey_of_colour(tinted, "x")
    assert agreement(grey.pixels) > 0.995
    assert grey.valid is None or grey.valid.mean() > 0.99
    assert any("tint" in note for note in grey.notes)


def test_a_photograph_of_a_radiograph_under_uneven_light():
    """The tint changes from corner to corner, and the camera adds noise."""
    light = (0.6 + 0.4 * X)[..., None]
    photo = light * np.dstack([0.5 * IMAGE + 0.1 * Y, 0.75 * IMAGE + 0.1, 0.95 * IMAGE + 0.2])
    photo = as_jpeg(photo + np.random.default_rng(0).normal(0, 0.02, photo.shape))
    grey = grey_of_colour(photo, "x")
    assert grey.valid is None or grey.valid.mean() > 0.99
    # Light from the right adds a ramp; within narrow columns the film is kept.
    assert np.corrcoef(grey.pixels[:, 150:160].ravel(), IMAGE[:, 150:160].ravel())[0, 1] > 0.98


def drawn(values: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A red line across, and the mask of its pixels."""
    image, mask = Image.fromarray(as_integers(values, 8)), Image.new("L", (COLS, ROWS))
    line = [(45, 68), (255, 248)]
    ImageDraw.Draw(image).line(line, fill=(255, 0, 0), width=width)
    ImageDraw.Draw(mask).line(line, fill=255, width=width)
    return np.asarray(image, np.float32) / 255, np.asarray(mask) > 0


@pytest.mark.parametrize(
    ("name", "width", "compressed"),
    [(None, 1, False), (None, 4, True), ("bluish", 4, False), ("bluish", 1, True)],
)
def test_a_drawn_line_is_invalid_and_filled(name, width, compressed):
    under = GREY if name is None else TINTS[name]
    marked, line = drawn(under, width)
    grey = grey_of_colour(as_jpeg(marked) if compressed else marked, "x")
    assert not grey.valid[line].any()
    assert grey.valid.mean() > 0.95
    (warning,) = grey.warnings
    assert warning.startswith("coloured marks cover") and warning in grey.notes
    clean = grey_of_colour(under, "x").pixels
    assert np.abs(grey.pixels - clean)[line].mean() < 0.06  # what is around the line
    assert compressed or np.abs(grey.pixels - clean)[grey.valid].max() < 1.1 / 255


def test_a_watermark_is_invalid():
    ink = Image.new("L", (COLS, ROWS))
    font = ImageFont.load_default(44)
    for k in range(4):
        ImageDraw.Draw(ink).text((15, 22 + 82 * k), "sample.org", fill=255, font=font)
    share = 0.35 * (np.asarray(ink, np.float32) / 255)[..., None]
    marked = GREY * (1 - share) + share * np.array([0.1, 0.3, 1.0], np.float32)
    grey = grey_of_colour(as_jpeg(marked), "x")
    assert 0.05 < 1 - grey.valid.mean() < 0.4
    written = share[..., 0] > 0.3
    assert (~grey.valid[written]).mean() > 0.95
    assert agreement(grey.pixels) > 0.97


@pytest.mark.parametrize("colour", [(1, 1, 0), (0, 0, 0.4), (0.2, 1, 1)])
def test_a_mark_as_bright_as_nothing_else(colour):
    """No other pixel has its brightness, so nothing there tells the tint."""
    marked = 0.1 + 0.5 * GREY
    marked[150:195, 110:155] = colour
    grey = grey_of_colour(marked, "x")
    assert not grey.valid[150:195, 110:155].any()
    assert grey.valid.mean() > 0.97


def test_colours_are_refused():
    rng = np.random.default_rng(0)

    def blobs():
        small = Image.fromarray(rng.integers(0, 256, (12, 10), np.uint8))
        return np.asarray(small.resize((COLS, ROWS), Image.Resampling.BICUBIC), np.float32) / 255

    hot = np.dstack([np.clip(3 * IMAGE - k, 0, 1) for k in range(3)])
    jet = np.dstack([np.clip(1.5 - np.abs(4 * IMAGE - k), 0, 1) for k in (3, 2, 1)])
    # A map of where a classifier looked, laid over the X-ray.
    at = [np.exp(-9 * ((X - x) ** 2 + (Y - y) ** 2)) for x, y in ((0.3, 0.5), (0.6, 0.4))]
    over = 0.55 * GREY + 0.45 * np.dstack([at[0], at[1], 1 - at[0]])
    for colours in (np.dstack([blobs(), blobs(), blobs()]), hot, jet, over):
        with pytest.raises(AxonInputError, match="x.png is a colour image .*Give the X-ray itself"):
            grey_of_colour(colours, "x.png")


@pytest.mark.parametrize("kind", ["png", "dcm"])
def test_marks_follow_the_image(tmp_path, kind):
    """Read upside down, with a frame: the mask lies where the line is, through every correction."""
    marked, line = drawn(GREY, 4)
    page = np.zeros((ROWS + 40, COLS + 60, 3), np.float32)
    page[20:-20, 30:-30] = np.clip(marked, 0.05, 1)
    stored = as_integers(page[::-1, ::-1], 8)
    if kind == "png":
        Image.fromarray(stored).save(tmp_path / "x.png")
    else:
        write_xray(tmp_path / "x.dcm", np.ascontiguousarray(stored), 8, Modality="OT")
    xray = read_radiograph(tmp_path / f"x.{kind}", rotate=180, force=True)
    assert xray.pixels.shape == xray.valid.shape == (ROWS, COLS)
    assert not xray.valid[line].any()
    assert any(note.startswith("coloured marks") for note in xray.warnings)
    flipped = corrected(xray, flip_lr=True)
    assert np.array_equal(flipped.valid, xray.valid[:, ::-1])
    assert np.array_equal(corrected(flipped, flip_lr=True).valid, xray.valid)


def test_a_mask_survives_as_text():
    mask = np.random.default_rng(0).random((37, 53)) > 0.5
    assert np.array_equal(mask_of_text(mask_as_text(mask), mask.shape), mask)
    assert mask_as_text(None) == "" and mask_of_text("", (3, 3)) is None
    assert mask_of_text(None, (3, 3)) is None and mask_of_text("no mask", (3, 3)) is None
    assert mask_of_text(mask_as_text(mask), (400, 300)) is None
