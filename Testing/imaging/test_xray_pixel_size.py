"""Millimetres in the patient plane: what each spacing tag means."""

import numpy as np
import pytest
from imaging_synthetic import as_integers, chest_image, write_xray

from axon_backend.imaging.radiograph import read_radiograph

STORED = as_integers(chest_image())  # 160 x 128 pixels


def read(tmp_path, **tags):
    radiograph = read_radiograph(write_xray(tmp_path / "x.dcm", STORED, **tags))
    return radiograph.pixel_mm, " | ".join(radiograph.assumptions)


@pytest.mark.parametrize(
    ("tags", "expected", "note"),
    [
        # At the detector: divided by the magnification.
        ({"ImagerPixelSpacing": [2.25, 2.7]}, (2.0, 2.4), "assumed magnification of 1.125"),
        (
            {"ImagerPixelSpacing": [2.4, 2.4], "EstimatedRadiographicMagnificationFactor": 1.2},
            (2.0, 2.0),
            "stated magnification 1.200",
        ),
        (
            {
                "ImagerPixelSpacing": [2.5, 2.5],
                "DistanceSourceToDetector": 2000,
                "DistanceSourceToPatient": 1600,
            },
            (2.0, 2.0),
            "magnification 1.250 (2000 mm / 1600 mm)",
        ),
        # A stated factor goes before distances.
        (
            {
                "ImagerPixelSpacing": [2.4, 2.4],
                "EstimatedRadiographicMagnificationFactor": 1.2,
                "DistanceSourceToDetector": 2000,
                "DistanceSourceToPatient": 1600,
            },
            (2.0, 2.0),
            "stated magnification",
        ),
        # Distances that no chest stand has.
        (
            {
                "ImagerPixelSpacing": [2.25, 2.25],
                "DistanceSourceToDetector": 1800,
                "DistanceSourceToPatient": 10,
            },
            (2.0, 2.0),
            "assumed magnification",
        ),
        ({"PixelSpacing": [2.25, 2.25]}, (2.0, 2.0), "assumed magnification"),
        ({"NominalScannedPixelSpacing": [2.25, 2.25]}, (2.0, 2.0), "assumed magnification"),
        (
            {"PixelSpacing": [2.25, 2.25], "ImagerPixelSpacing": [2.25, 2.25]},
            (2.0, 2.0),
            "assumed magnification",
        ),
        # In the patient: taken as it is.
        (
            {"PixelSpacing": [2.0, 2.1], "PixelSpacingCalibrationType": "GEOMETRY"},
            (2.0, 2.1),
            "calibrated in the patient plane (GEOMETRY)",
        ),
        (
            {
                "PixelSpacing": [2.0, 2.0],
                "ImagerPixelSpacing": [2.3, 2.3],
                "PixelSpacingCalibrationType": "FIDUCIAL",
            },
            (2.0, 2.0),
            "(FIDUCIAL)",
        ),
        (
            {"PixelSpacing": [2.0, 2.0], "ImagerPixelSpacing": [2.3, 2.3]},
            (2.0, 2.0),
            "calibrated in the patient plane (stated)",
        ),
    ],
)
def test_known_sizes(tmp_path, tags, expected, note):
    size, notes = read(tmp_path, **tags)
    assert size == pytest.approx(expected)
    assert note in notes


@pytest.mark.parametrize(
    ("tags", "note"),
    [
        ({}, "no pixel size in the file: the atlas's size is used"),
        ({"PixelSpacing": [0.0, 0.0]}, "zero or unreadable: the atlas's size is used"),
        ({"PixelSpacing": [0.1, 0.1]}, "measures 14 x 11 mm, which cannot be a chest"),
        ({"ImagerPixelSpacing": [20, 20]}, "cannot be a chest: the atlas's size is used"),
    ],
)
def test_unknown_sizes_are_said_to_be(tmp_path, tags, note):
    size, notes = read(tmp_path, **tags)
    assert size is None
    assert note in notes


@pytest.mark.parametrize("tags", [{}, {"ImagerPixelSpacing": [4.0, 2.0]}])
def test_an_image_is_judged_in_its_true_proportions(tmp_path, tags):
    """Every second row: a pixel is twice as high as wide."""
    whole = read_radiograph(write_xray(tmp_path / "whole.dcm", STORED))
    half = write_xray(tmp_path / "half.dcm", STORED[::2], PixelAspectRatio=[2, 1], **tags)
    found = read_radiograph(half)
    if tags:  # the registration knows the size of the pixels
        assert found.pixels.shape == (80, 128)
        assert found.pixel_mm[0] == pytest.approx(2 * found.pixel_mm[1])
    else:
        assert found.pixels.shape == (160, 128) and found.pixel_mm is None
        assert np.abs(found.pixels - whole.pixels).mean() < 0.02
        assert any("resampled to square" in note for note in found.assumptions)
    shown, true = (next(n for n in r.assumptions if "chest X-ray (" in n) for r in (found, whole))
    assert float(shown[-5:-1]) == pytest.approx(float(true[-5:-1]), abs=0.05)
