"""DICOM grey values: every chain of tags has an answer that can be worked out by hand."""

import numpy as np
import pytest
from imaging_synthetic import (
    DX_FOR_PRESENTATION,
    as_integers,
    chest_image,
    write_xray,
    xray_dataset,
)
from pydicom.dataset import Dataset

from axon_backend.imaging.dicom_grey import log_linear_grey, window_grey
from axon_backend.imaging.radiograph import read_radiograph

IMAGE = chest_image()
TOP = 4095


def grey(stored, **tags):
    return log_linear_grey(xray_dataset(stored, **tags), stored)[0]


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_monochrome1_and_2_are_equal(tmp_path, bits):
    stored = as_integers(IMAGE, bits)
    top = np.array(2**bits - 1, stored.dtype)
    two = write_xray(tmp_path / "2.dcm", stored, bits)
    one = write_xray(
        tmp_path / "1.dcm", top - stored, bits, PhotometricInterpretation="MONOCHROME1"
    )
    a, b = read_radiograph(two).pixels, read_radiograph(one).pixels
    assert np.abs(a - b).max() < 1e-6
    assert a.dtype == np.float32
    # The phantom is reproduced up to an affine map.
    expected = (IMAGE - IMAGE.min()) / (IMAGE.max() - IMAGE.min())
    assert np.abs(a - expected).max() < 1.5 / 2**bits + 1e-6


def test_presentation_lut_shape_inverse_counts_once():
    stored = as_integers(IMAGE)
    plain = grey(stored)
    assert np.allclose(grey(stored, PresentationLUTShape="INVERSE"), 1 - plain, atol=1e-6)
    both = grey(stored, PresentationLUTShape="INVERSE", PhotometricInterpretation="MONOCHROME1")
    assert np.allclose(both, 1 - plain, atol=1e-6)
    assert np.allclose(grey(stored, PresentationLUTShape="IDENTITY"), plain)


def test_window_arithmetic_of_the_standard():
    values = np.array([0.0, 1024.0, 2047.5, 3071.0, 4095.0])
    # PS3.3 C.11.2.1.2.1: c = 2048, w = 4096 maps 0..4095 onto the whole range.
    assert np.allclose(window_grey(values, 2048, 4096), values / 4095)
    # C.11.2.1.3.2: LINEAR_EXACT has no half-pixel.
    assert np.allclose(
        window_grey(np.array([50.0, 100.0, 125.0, 150.0, 200.0]), 100, 100, "LINEAR_EXACT"),
        [0, 0.5, 0.75, 1, 1],
    )
    # Sigmoid at c is 1/2, at c + w/4 is 1 / (1 + e^-1).
    assert np.allclose(
        window_grey(np.array([100.0, 125.0]), 100, 100, "SIGMOID"), [0.5, 1 / (1 + np.exp(-1))]
    )


def test_window_follows_the_rescale():
    stored = as_integers(IMAGE)
    tags = {"RescaleSlope": 2, "RescaleIntercept": -100, "WindowCenter": 3000, "WindowWidth": 5000}
    expected = np.clip((2.0 * stored - 100 - 2999.5) / 4999 + 0.5, 0, 1)
    assert np.allclose(grey(stored, **tags), expected, atol=1e-6)


def test_of_several_windows_the_first_counts():
    stored = as_integers(IMAGE)
    one = grey(stored, WindowCenter=2000, WindowWidth=3000)
    two = grey(stored, WindowCenter=[2000, 100], WindowWidth=[3000, 50])
    assert np.array_equal(one, two)


def test_a_window_that_blanks_the_image_is_ignored():
    stored = as_integers(IMAGE)
    dataset = xray_dataset(stored, WindowCenter=60000, WindowWidth=10)
    pixels, notes = log_linear_grey(dataset, stored)
    assert np.array_equal(pixels, grey(stored))
    assert "ignored as it blanks it" in notes[0]


def test_voi_lut_wins_over_the_window():
    stored = as_integers(IMAGE)
    lut = Dataset()
    table = (np.arange(4096, dtype=np.float64) ** 2 / 4095**2 * 1023).astype(np.uint16)
    lut.LUTDescriptor = [4096, 0, 10]
    lut.LUTData = table.tolist()
    pixels = grey(stored, VOILUTSequence=[lut], WindowCenter=10, WindowWidth=10)
    assert np.allclose(pixels, table[stored] / 1023, atol=1e-6)


def test_modality_lut():
    stored = as_integers(IMAGE)
    lut = Dataset()
    table = np.arange(4095, -1, -1, dtype=np.uint16)
    lut.LUTDescriptor, lut.LUTData, lut.ModalityLUTType = [4096, 0, 16], table.tolist(), "US"
    pixels = grey(stored, ModalityLUTSequence=[lut])
    assert np.allclose(pixels, 1 - grey(stored), atol=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_linear_detector_values_become_line_integrals(sign, photometric):
    """I = I0 exp(-L): whatever the sign, -log brings back L (Beer-Lambert)."""
    line_integral = 3.0 * IMAGE
    exposure = np.rint(TOP * np.exp(-(line_integral - line_integral.min())))
    stored = (exposure if sign == 1 else TOP - exposure).astype(np.uint16)
    pixels = grey(
        stored,
        PixelIntensityRelationship="LIN",
        PixelIntensityRelationshipSign=sign,
        PresentationIntentType="FOR PROCESSING",
        PhotometricInterpretation=photometric,
    )
    assert np.abs(pixels - (line_integral - line_integral.min())).max() < 0.005


def test_linear_values_without_a_sign_go_by_the_display():
    exposure = np.rint(TOP * np.exp(-3.0 * (IMAGE - IMAGE.min()))).astype(np.uint16)
    expected = 3.0 * (IMAGE - IMAGE.min())
    # MONOCHROME1: large values are shown black, so they are exposure.
    one = grey(exposure, PixelIntensityRelationship="LIN", PhotometricInterpretation="MONOCHROME1")
    assert np.abs(one - expected).max() < 0.005
    two = grey((TOP - exposure).astype(np.uint16), PixelIntensityRelationship="LIN")
    assert np.abs(two - expected).max() < 0.005


@pytest.mark.parametrize(("sign", "factor"), [(1, -1.0), (-1, 1.0)])
def test_raw_log_values_keep_their_scale(sign, factor):
    stored = as_integers(IMAGE)
    pixels = grey(
        stored,
        PixelIntensityRelationship="LOG",
        PixelIntensityRelationshipSign=sign,
        PresentationIntentType="FOR PROCESSING",
        WindowCenter=10,
        WindowWidth=10,
    )
    assert np.array_equal(pixels, (factor * stored).astype(np.float32))


def test_disp_goes_by_the_display(tmp_path):
    stored = as_integers(IMAGE)
    path = write_xray(
        tmp_path / "x.dcm",
        stored,
        SOPClassUID=DX_FOR_PRESENTATION,
        Modality="DX",
        PixelIntensityRelationship="DISP",
        PixelIntensityRelationshipSign=1,
        PresentationIntentType="FOR PRESENTATION",
        WindowCenter=2048,
        WindowWidth=4096,
    )
    radiograph = read_radiograph(path)
    assert np.allclose(radiograph.pixels, stored / 4095, atol=1e-6)
    assert "display grey (window 2048/4096) is taken as linear in attenuation" in (
        radiograph.assumptions
    )


def test_padding_is_neither_bone_nor_range():
    stored = as_integers(IMAGE, 10)
    stored[:, :4] = 4000
    pixels = grey(stored, PixelPaddingValue=4000)
    assert (pixels[:, :4] == 0).all()
    assert pixels[:, 4:].max() == 1.0


def test_overlay_bits_above_the_grey_are_masked(tmp_path):
    stored = as_integers(IMAGE)
    dirty = stored.copy()
    dirty[10:20, 10:20] |= 0x8000
    clean = read_radiograph(write_xray(tmp_path / "a.dcm", stored)).pixels
    assert np.array_equal(read_radiograph(write_xray(tmp_path / "b.dcm", dirty)).pixels, clean)


def test_invert_means_as_shown_and_wins(tmp_path):
    path = write_xray(tmp_path / "x.dcm", as_integers(IMAGE))
    plain = read_radiograph(path).pixels
    assert np.array_equal(read_radiograph(path, invert=False).pixels, plain)
    inverted = read_radiograph(path, invert=True)
    assert np.allclose(inverted.pixels, plain.max() + plain.min() - plain)
    assert "inverted as requested" in inverted.assumptions


def test_a_certain_image_wins_over_tags_and_both_are_reported(tmp_path):
    stored = as_integers(IMAGE)
    right = read_radiograph(write_xray(tmp_path / "x.dcm", stored)).pixels
    for name, tags in (
        ("shape", {"PresentationLUTShape": "INVERSE"}),
        ("photometric", {"PhotometricInterpretation": "MONOCHROME1"}),
    ):
        radiograph = read_radiograph(write_xray(tmp_path / f"{name}.dcm", stored, **tags))
        assert np.allclose(radiograph.pixels - right, (radiograph.pixels - right)[0, 0], atol=1e-5)
        said = "the file states that bones are bright, but the image shows dark ones"
        assert any(note.startswith(said) for note in radiograph.warnings)
        assert set(radiograph.warnings) <= set(radiograph.assumptions)
        kept = read_radiograph(tmp_path / f"{name}.dcm", invert=False)  # the user overrules it
        assert np.corrcoef(kept.pixels.ravel(), right.ravel())[0, 1] < -0.99
