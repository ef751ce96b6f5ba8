"""Shutters and collimators stated in the header, and CT scouts taken as X-rays."""

import numpy as np
import pytest
from imaging_synthetic import as_integers, chest_image, ct_slices, write_series, write_xray

from axon_backend.imaging.radiograph import read_radiograph

STORED = as_integers(chest_image())


def edges(kind, top, bottom, left, right):
    return {
        f"{kind}Shape": "RECTANGULAR",
        f"{kind}UpperHorizontalEdge": top,
        f"{kind}LowerHorizontalEdge": bottom,
        f"{kind}LeftVerticalEdge": left,
        f"{kind}RightVerticalEdge": right,
    }


@pytest.mark.parametrize("kind", ["Shutter", "Collimator"])
def test_the_field_between_the_blades_is_kept(tmp_path, kind):
    path = write_xray(tmp_path / "x.dcm", STORED, **edges(kind, 10, 151, 5, 121))
    radiograph = read_radiograph(path)
    whole = read_radiograph(write_xray(tmp_path / "y.dcm", STORED)).pixels
    # Rows 11..150 and columns 6..120, counted from 1, lie between the blades.
    assert np.array_equal(radiograph.pixels, whole[10:150, 5:120])
    note = f"cropped to the {kind.lower()} in the file: rows 11-150, columns 6-120"
    assert note in radiograph.assumptions


@pytest.mark.parametrize(
    "stated", [(-184, 184, 907, 1299), (0, 161, 0, 129), (70, 90, 60, 70), (90, 10, 5, 100)]
)
def test_edges_that_cannot_be_are_not_believed(tmp_path, stated):
    path = write_xray(tmp_path / "x.dcm", STORED, **edges("Collimator", *stated))
    assert read_radiograph(path).pixels.shape == STORED.shape


def test_a_scout_is_an_xray_with_its_own_pixel_size(tmp_path):
    scout = ct_slices(
        chest_image()[None] * 500 - 300,
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
        ImageOrientationPatient=[-1, 0, 0, 0, 0, -1],
        PixelSpacing=[2.5, 2.0],
        WindowCenter=40,
        WindowWidth=50,
    )
    path = next(write_series(tmp_path / "scout", scout).iterdir())
    radiograph = read_radiograph(path)
    # Stored with columns to the patient's right: mirrored, and not clipped by the slice window.
    expected = np.rint(chest_image()[:, ::-1] * 500 + 724)
    expected = (expected - expected.min()) / (expected.max() - expected.min())
    assert np.allclose(radiograph.pixels, expected, atol=1e-6)
    assert radiograph.pixel_mm == (2.5, 2.0)
    assert any("CT scout" in note for note in radiograph.assumptions)
