"""What an image shows is told from its pixels: a chest X-ray and its orientation, or what else.

The demonstration X-ray and CT are of patients that the network was not trained on.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from axon_backend.cli.demo import DATA
from axon_backend.errors import AxonInputError
from axon_backend.imaging import content
from axon_backend.imaging.content import CHEST, KINDS, see
from axon_backend.imaging.layout import thumbnail
from axon_backend.imaging.radiograph import read_radiograph, require_chest
from axon_backend.imaging.scene import corrected, radiograph_from_pixels
from axon_backend.imaging.turn import TURNS, reoriented


def grey(name: str) -> np.ndarray:
    pixels = thumbnail(read_radiograph(DATA / name, flip=False).pixels)
    return (pixels - pixels.min()) / np.ptp(pixels)


@pytest.fixture(scope="module")
def front() -> np.ndarray:
    return grey("xray_pa.jpg")


@pytest.fixture(scope="module")
def side() -> np.ndarray:
    return grey("drr_lidc0306_lateral.nrrd")


def flowers() -> np.ndarray:
    """Petals around discs."""
    y, x = np.mgrid[0:220, 0:200]
    image = np.full(y.shape, 0.2)
    for cy, cx, r in ((60, 50, 40), (80, 150, 45), (160, 90, 50)):
        d, angle = np.hypot(y - cy, x - cx), np.arctan2(y - cy, x - cx)
        image = np.where(d < r * (0.6 + 0.4 * np.cos(8 * angle)), 0.9 - 0.5 * d / r, image)
        image = np.where(d < r / 4, 0.4, image)
    return image


def test_a_convolution_is_that_of_torch():
    rng = np.random.default_rng(0)
    x, w = rng.random((2, 3, 16, 16), np.float32), rng.random((5, 3, 3, 3), np.float32)
    b = rng.random(5, np.float32)
    for stride in (1, 2):
        expected = F.conv2d(*map(torch.as_tensor, (x, w, b)), stride, padding=1)
        assert content._convolve(x, w, b, stride) == pytest.approx(expected.numpy(), rel=1e-5)


@pytest.mark.parametrize("turn", TURNS, ids=lambda t: t.words(False) or "upright")
def test_a_reoriented_image_gives_reoriented_answers(front, side, turn):
    for image, frontal in ((front, True), (side, False)):
        before, after = see(image), see(reoriented(image, turn))
        assert TURNS[after.upright[0 if frontal else 1].argmax()] == turn
        assert sorted(after.upright[1 - frontal]) == pytest.approx(
            sorted(before.upright[1 - frontal]), abs=0.03
        )
        assert after.kinds == pytest.approx(before.kinds, abs=0.03)


def test_a_chest_xray_is_one_in_either_polarity(front, side):
    for image, frontal in ((front, True), (side, False)):
        for dark in (False, True):
            seen = see(1 - image if dark else image)
            assert seen.chest > 0.8 and (seen.frontal > 0.9) is frontal
            assert (seen.dark > 0.5) is dark


def test_other_things_are_named_and_not_registered():
    rng = np.random.default_rng(0)
    bars = np.kron(np.indices((12, 10)).sum(0) % 2, np.ones((20, 20))) + 0.01 * rng.random(
        (240, 200)
    )
    for image, kinds in (
        (flowers(), {"photo", "pattern"}),
        (rng.random((200, 200)), {"pattern"}),
        (bars, {"pattern"}),
    ):
        xray = radiograph_from_pixels(image, source="it")
        assert see(image).likeliest in kinds and xray.looks_like in KINDS.values()
        assert xray.warnings[0] == (
            f"the image does not look like a chest X-ray, but like {xray.looks_like}"
        )
        with pytest.raises(AxonInputError, match=f"it does not .* but like {xray.looks_like}"):
            require_chest(xray)
        forced = radiograph_from_pixels(image, force=True)
        assert any("it was used as requested" in note for note in forced.assumptions)
        require_chest(forced)
        require_chest(corrected(xray, force=True))


def test_a_lung_alone_is_a_part(front):
    part = front[: round(0.8 * len(front)), : round(0.4 * front.shape[1])]
    assert see(part).chest < CHEST and see(part).likeliest == "part"


@pytest.mark.parametrize("gap", [0, 14])
@pytest.mark.parametrize("above", [False, True])
def test_one_of_two_xrays_in_one_image(front, side, gap, above):
    size = min(*front.shape, *side.shape)
    one, two = front[:size, :size], side[:size, :size]
    strip = np.full((gap, size), 0.3)
    both = np.vstack([one, strip, two]) if above else np.hstack([one, strip.T, two])
    first, last = ("top", "bottom") if above else ("left", "right")
    xray = radiograph_from_pixels(both)
    assert (
        f"two chest X-rays in one image, a frontal one ({first}) and a lateral" in xray.looks_like
    )
    with pytest.raises(AxonInputError, match=f"--part {first} or --part {last}"):
        require_chest(xray)
    for part, view in ((first, "pa"), (last, "ll")):
        for found in (
            radiograph_from_pixels(both, view=view, part=part, invert=False, flip=False),
            corrected(radiograph_from_pixels(both, view=view, invert=False, flip=False), part=part),
        ):
            require_chest(found)
            assert found.view.value == view
            assert abs(len(found.pixels) - size) <= gap + 2
            assert abs(found.pixels.shape[1] - size) <= gap + 2
            assert any(f"the {part} part" in note for note in found.assumptions)
    with pytest.raises(AxonInputError, match="one of left, right, top, bottom"):
        radiograph_from_pixels(both, part="middle")


def test_the_weights_are_small_and_described():
    assert content.WEIGHTS.stat().st_size < 1_000_000
    card = content.WEIGHTS.with_suffix(".md").read_text(encoding="utf-8")
    assert "LIDC-IDRI" in card and "not for clinical use" in card and "247,976 weights" in card
    shapes = [a.size for a in content._weights().values()]
    assert sum(shapes) == 247_976
