"""DICOM CT folders: which series is read, how it is stacked, what is refused."""

import copy

import numpy as np
import pydicom
import pytest
from imaging_synthetic import (
    CT_MARKER_ZYX,
    as_integers,
    brightest_point,
    chest_ct,
    chest_image,
    ct_slices,
    write_series,
    write_xray,
)
from pydicom.uid import RLELossless, generate_uid

from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct import read_ct

HU = chest_ct()
ORIGIN = (-155.0, -155.0, -115.0)
MARKER_LPS = np.array(ORIGIN) + 10.0 * np.array(CT_MARKER_ZYX[::-1])


def test_a_plain_series(tmp_path):
    ct = read_ct(write_series(tmp_path / "ct", ct_slices(HU)))
    assert np.array_equal(ct.hu, HU)
    assert ct.spacing_mm == pytest.approx((10, 10, 10))
    assert ct.origin_mm == pytest.approx(ORIGIN)
    assert ct.assumptions == ()


def test_pixels_that_are_not_square(tmp_path):
    """PixelSpacing is (between rows, between columns): y, then x."""
    ct = read_ct(write_series(tmp_path / "ct", ct_slices(HU, PixelSpacing=[9.0, 11.0])))
    assert ct.spacing_mm == pytest.approx((11, 9, 10))


@pytest.mark.parametrize("implicit", [True, False])
def test_bare_data_sets_without_a_file_header(tmp_path, implicit):
    """No preamble, no file meta information, as archives and networks keep them."""
    for k, item in enumerate(ct_slices(HU)):
        del item.file_meta
        path = tmp_path / f"{k}.dcm"
        pydicom.dcmwrite(path, item, implicit_vr=implicit, little_endian=True)
    (tmp_path / "letter.dcm").write_text("Dear reader, this is a letter. " * 20)
    assert np.array_equal(read_ct(tmp_path).hu, HU)


def test_one_slice_stands_for_its_series(tmp_path):
    folder = write_series(tmp_path / "ct", ct_slices(HU))
    other = write_series(folder, ct_slices(HU + 5), prefix="other")
    one = sorted(p for p in other.iterdir() if p.name.startswith("s"))[3]
    assert np.array_equal(read_ct(one).hu, HU)


def test_subfolders_copies_and_strangers_do_not_matter(tmp_path):
    slices = ct_slices(HU)
    write_series(tmp_path / "a", slices[:10])
    write_series(tmp_path / "b", slices[8:])
    (tmp_path / "readme.txt").write_text("hello")
    (tmp_path / "empty.dcm").write_bytes(b"")
    assert np.array_equal(read_ct(tmp_path).hu, HU)


def test_compressed_slices_and_slopes_of_their_own(tmp_path):
    slices = ct_slices(HU)
    for k, item in enumerate(slices):
        if k % 2:
            item.RescaleSlope, item.RescaleIntercept = 2, -2048
            stored = np.rint((HU[k] + 2048) / 2).astype(np.uint16)
            item.PixelData = stored.tobytes()
        item.compress(RLELossless, generate_instance_uid=False)
    assert np.abs(read_ct(write_series(tmp_path / "ct", slices)).hu - HU).max() == 0


def test_upside_down_and_prone_series_keep_the_marker(tmp_path):
    """Feet first or prone: stored rows and columns run the other way."""
    stored = HU[:, ::-1, ::-1]
    slices = ct_slices(stored)
    for item in slices:
        item.ImageOrientationPatient = [-1, 0, 0, 0, -1, 0]
        item.ImagePositionPatient = [155.0, 155.0, item.ImagePositionPatient[2]]
    ct = read_ct(write_series(tmp_path / "ct", slices))
    assert np.allclose(brightest_point(ct), MARKER_LPS)
    assert np.array_equal(ct.hu, HU)


def test_a_coronal_series_is_turned(tmp_path):
    """Slices along y, rows towards the feet."""
    planes = HU.transpose(1, 0, 2)[:, ::-1]
    slices = ct_slices(planes)
    for k, item in enumerate(slices):
        item.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
        item.ImagePositionPatient = [-155.0, -155.0 + 10 * k, -115.0 + 10 * 23]
    ct = read_ct(write_series(tmp_path / "ct", slices))
    assert np.array_equal(ct.hu, HU)
    assert ct.origin_mm == pytest.approx(ORIGIN)


def test_a_tilted_gantry_is_straightened(tmp_path):
    """Slices turned by 15 degrees about x but stacked along z."""
    angle = np.radians(15)
    slices = ct_slices(HU)
    for item in slices:
        item.ImageOrientationPatient = [1, 0, 0, 0, np.cos(angle), np.sin(angle)]
    z, y, x = CT_MARKER_ZYX
    expected = np.array(
        [-155 + 10 * x, -155 + 10 * y * np.cos(angle), -115 + 10 * z + 10 * y * np.sin(angle)]
    )
    ct = read_ct(write_series(tmp_path / "ct", slices))
    assert np.abs(brightest_point(ct) - expected).max() <= 5.0
    assert any("tilted by 15.0 degrees" in note for note in ct.assumptions)


def test_the_chest_series_is_chosen_and_named(tmp_path):
    write_series(tmp_path / "1", ct_slices(HU, SeriesNumber=2, SeriesDescription="THORAX 10"))
    abdomen = np.concatenate([HU, HU])
    write_series(
        tmp_path / "2",
        ct_slices(abdomen, SeriesNumber=3, SeriesDescription="ABDOMEN", BodyPartExamined="ABDOMEN"),
    )
    write_series(
        tmp_path / "3",
        ct_slices(HU, SeriesNumber=1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
    )
    write_series(
        tmp_path / "4",
        ct_slices(HU, SeriesNumber=9, SeriesDescription="head", BodyPartExamined="HEAD"),
    )
    ct = read_ct(tmp_path)
    assert np.array_equal(ct.hu, HU)
    note, left_out = ct.assumptions
    assert left_out.startswith(
        "left out: series 1 'CHEST' holds no CT slice with a position (24 loc"
    )
    assert note.startswith("of 3 CT series series 2 'THORAX 10' (24 slices of 10.00 mm) was read")
    assert "ABDOMEN" in note
    assert "head" in note


def test_of_two_chest_series_the_one_with_more_slices_is_read(tmp_path):
    thick = HU.reshape(12, 2, 32, 32).mean(1)
    thick = np.concatenate([thick, thick[:6]])
    slices = ct_slices(thick, SeriesNumber=1)
    for k, item in enumerate(slices):
        item.ImagePositionPatient = [-155.0, -155.0, -110.0 + 20.0 * k]
    write_series(tmp_path / "1", slices)
    write_series(tmp_path / "2", ct_slices(HU, SeriesNumber=2))
    assert np.array_equal(read_ct(tmp_path).hu, HU)


def test_two_acquisitions_in_one_series_are_told_apart(tmp_path):
    uid = generate_uid()
    first = ct_slices(HU, SeriesInstanceUID=uid, AcquisitionNumber=1)
    second = ct_slices(HU + 3, SeriesInstanceUID=uid, AcquisitionNumber=2)
    write_series(tmp_path / "ct", first)
    write_series(tmp_path / "ct", second, prefix="t")
    ct = read_ct(tmp_path / "ct")
    assert ct.hu.shape == HU.shape
    assert "of 2 CT series" in ct.assumptions[0]
    for item in second:
        item.AcquisitionNumber = 1
    write_series(tmp_path / "mixed", first)
    write_series(tmp_path / "mixed", second, prefix="t")
    with pytest.raises(AxonInputError, match="several different slices at the same position"):
        read_ct(tmp_path / "mixed")


def fine_slices():
    """48 slices of 5 mm whose HU is a ramp along z at one column of air, else the chest."""
    hu = np.repeat(HU, 2, axis=0)
    hu[:, 0, 0] = -1000 + 10.0 * np.arange(48)
    slices = ct_slices(hu)
    for k, item in enumerate(slices):
        item.ImagePositionPatient = [-155.0, -155.0, -115.0 + 5.0 * k]
    return slices


def test_a_missing_slice_is_filled_and_recorded(tmp_path):
    slices = fine_slices()
    del slices[20]
    ct = read_ct(write_series(tmp_path / "ct", slices))
    assert ct.hu.shape == (48, 32, 32)
    assert ct.hu[20, 0, 0] == pytest.approx(-800)
    assert np.allclose(ct.hu[:, 0, 0], -1000 + 10.0 * np.arange(48), atol=1e-2)
    assert "1 missing slice (widest step 10.0 mm): filled by interpolation" in ct.assumptions


def test_a_wide_hole_is_refused(tmp_path):
    slices = fine_slices()
    del slices[20:26]
    with pytest.raises(
        AxonInputError, match=r"has missing slices: a gap of 35.0 mm at z = -20.0 mm"
    ):
        read_ct(write_series(tmp_path / "ct", slices))


def test_uneven_steps_are_evened(tmp_path):
    slices = fine_slices()
    for k, item in enumerate(slices):
        item.ImagePositionPatient = [-155.0, -155.0, -115.0 + 5.0 * k + (1.0 if k % 2 else 0.0)]
    ct = read_ct(write_series(tmp_path / "ct", slices))
    assert any("unequal slice steps" in note for note in ct.assumptions)
    assert abs(ct.hu.shape[0] * ct.spacing_mm[2] - 241) < 8


def test_a_lost_rescale_is_put_back(tmp_path):
    slices = ct_slices(HU, RescaleSlope=None, RescaleIntercept=None)
    ct = read_ct(write_series(tmp_path / "ct", slices))
    assert np.array_equal(ct.hu, HU)
    assert any("intercept is taken as -1024" in note for note in ct.assumptions)


def test_padding_becomes_air(tmp_path):
    slices = ct_slices(HU, PixelPaddingValue=0)
    for item in slices:
        plane = np.frombuffer(item.PixelData, np.uint16).reshape(32, 32).copy()
        plane[0] = 0
        item.PixelData = plane.tobytes()
    assert (read_ct(write_series(tmp_path / "ct", slices)).hu[:, 0] == -1024).all()


def refused(path, pattern):
    with pytest.raises(AxonInputError, match=pattern) as caught:
        read_ct(path)
    assert len(str(caught.value)) < 400


def test_refusals(tmp_path):
    (tmp_path / "none").mkdir()
    refused(tmp_path / "none", "holds no DICOM image. Give the folder that holds the CT slices")
    refused(
        write_series(tmp_path / "one", ct_slices(HU)[:1]),
        "holds at most 1 CT slice of one series; a chest CT has at least 16",
    )
    refused(write_series(tmp_path / "mr", ct_slices(HU, Modality="MR")), "holds 24 MR, not CT")
    refused(
        write_series(
            tmp_path / "hand", ct_slices(HU, BodyPartExamined="HAND", SeriesDescription="")
        ),
        r"another body part \(HAND\); a chest CT is expected",
    )
    scouts = ct_slices(HU, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    refused(write_series(tmp_path / "scout", scouts), "localiser images only")
    refused(
        write_series(tmp_path / "flat", ct_slices(HU, PixelSpacing=None)), "has no PixelSpacing"
    )
    # Two negative steps would turn the patient by 180 degrees.
    for n, spacing in enumerate(([-4, -4], [0, 4], [4, -4])):
        refused(
            write_series(tmp_path / f"steps{n}", ct_slices(HU, PixelSpacing=spacing)),
            "PixelSpacing .*two positive numbers",
        )


def test_an_xray_as_a_ct(tmp_path):
    path = write_xray(tmp_path / "x.dcm", as_integers(chest_image()))
    refused(path, r"is an X-ray \(1 CR\), not a CT")
    refused(tmp_path, r"is an X-ray \(1 CR\), not a CT")


def test_damaged_slices(tmp_path):
    folder = write_series(tmp_path / "ct", ct_slices(HU))
    victim = sorted(folder.iterdir())[5]
    data = victim.read_bytes()
    victim.write_bytes(data[:-500])
    refused(folder, "could not be decoded .* damaged or cut short")
    (tmp_path / "x.dcm").write_text("Dear reader, this is a letter. " * 20)
    refused(tmp_path / "x.dcm", "not a readable DICOM file")


def test_an_enhanced_ct_points_to_a_converter(tmp_path):
    item = copy.deepcopy(ct_slices(HU)[0])
    item.NumberOfFrames = 24
    item.PixelData = np.rint(HU + 1024).astype(np.uint16).tobytes()
    refused(write_series(tmp_path / "ct", [item]), "enhanced multi-frame CT.*dcm2niix")
