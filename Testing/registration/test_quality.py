"""The scores have known values at their ends."""

import numpy as np
import pytest
from scipy import ndimage

from axon_backend.imaging.matching import local_contrast
from axon_backend.registration.planar import register_planar
from axon_backend.registration.quality import assess
from axon_backend.registration.similarity import gradient_ncc, mutual_information, ncc
from axon_backend.registration.thresholds import SAME_PATIENT

ALL = np.ones((256, 256), bool)


def test_equal_images_score_one_and_negatives_minus_one(reference):
    assert ncc(reference, reference, ALL) == pytest.approx(1.0)
    assert ncc(reference, -2 * reference + 3, ALL) == pytest.approx(-1.0)
    assert gradient_ncc(reference, 5 * reference - 1, ALL) == pytest.approx(1.0, abs=1e-5)
    assert ncc(reference, np.zeros_like(reference), ALL) == 0.0


def test_local_contrast_forgets_affine_greys(reference):
    plain = local_contrast(reference)
    np.testing.assert_allclose(local_contrast(40 * reference - 700), plain, atol=5e-3)
    middle = plain[64:-64, 64:-64]
    assert abs(middle.mean()) < 0.2 and 0.7 < middle.std() < 1.3


def test_local_contrast_does_not_look_at_invalid_pixels(reference):
    valid = ALL.copy()
    valid[:, 200:] = False
    spoilt = reference.copy()
    spoilt[:, 200:] = 1e4
    # float32 sums: the two differ by rounding only.
    np.testing.assert_allclose(
        local_contrast(spoilt, valid), local_contrast(reference, valid), atol=1e-3
    )
    assert not local_contrast(spoilt, valid)[:, 200:].any()


def test_mutual_information_has_its_known_values():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 256, 256))
    assert mutual_information(a, a, ALL) == pytest.approx(np.log(32), abs=0.01)  # its own entropy
    assert mutual_information(a, -a, ALL) == pytest.approx(np.log(32), abs=0.01)
    # Independent: only the bias of the histogram is left, (bins - 1)^2 / (2 n).
    assert mutual_information(a, b, ALL) == pytest.approx(31**2 / (2 * a.size), rel=0.2)
    assert mutual_information(a, b, np.zeros_like(ALL)) == 0.0


def hand(n: int = 400) -> np.ndarray:
    """A palm and five fingers, bright on dark."""
    y, x = np.indices((n, n)) / n
    image = np.exp(-(((x - 0.5) / 0.2) ** 4) - ((y - 0.75) / 0.18) ** 4)
    for k, angle in enumerate(np.radians([-60, -22, -6, 9, 25])):
        along = (x - 0.5) * np.sin(angle) - (y - 0.75) * np.cos(angle)
        across = (x - 0.5) * np.cos(angle) + (y - 0.75) * np.sin(angle)
        length = (0.4, 0.55, 0.6, 0.57, 0.48)[k]
        image += np.exp(-((across / 0.035) ** 4)) * (along > 0) * (along < length)
    return ndimage.gaussian_filter(image, 2).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "transform"),
    [("noise", "similarity"), ("clouds", "affine"), ("hand", "similarity"), ("hand", "affine")],
)
def test_unrelated_images_are_poor(reference, kind, transform):
    noise = np.random.default_rng(1).random((400, 400)).astype(np.float32)
    image = {"noise": noise, "clouds": ndimage.gaussian_filter(noise, 8), "hand": hand()}[kind]
    quality = register_planar(image, reference, transform=transform).quality
    assert quality.verdict == "poor"
    assert any("registration is poor" in w for w in quality.warnings)


def test_a_image_that_covers_little_says_so(reference):
    valid = ALL.copy()
    valid[:, 128:] = False
    notes = assess(reference, reference, valid).warnings
    assert notes == ("the X-ray covers only 50 % of the chest's field of view",)
    assert assess(reference, reference, ALL).warnings == ()


def test_a_shift_of_millimetres_by_hand_is_not_called_good(tools, reference):
    """2.3 % of a field of 300 mm are 7 mm: the scores stay high, the edges tell."""
    right = assess(reference, reference, ALL)
    off = assess(np.roll(reference, 6, axis=1), reference, ALL, limits=SAME_PATIENT)
    assert right.verdict == "good" and right.offset < 0.002
    assert off.score > SAME_PATIENT.fair and off.verdict == "fair"
    assert off.offset == pytest.approx(6 / 256, abs=0.004)
    assert any("edges align better 2." in w for w in off.warnings) and not off.refused


def test_what_is_poor_is_refused(reference):
    other = np.random.default_rng(3).random(reference.shape).astype(np.float32)
    quality = assess(other, reference, ALL)
    assert quality.refused and quality.verdict == "poor"
    assert quality.score == pytest.approx(0.5 * (quality.ncc + quality.gradient_ncc))
