"""CT studies as they come: side series, rounded headers, lost tags, repeated and stray slices."""

import gzip
import shutil

import nibabel as nib
import numpy as np
import pydicom
import pytest
from imaging_synthetic import brightest_point, chest_ct, ct_slices, write_series
from pydicom.fileset import FileSet
from pydicom.uid import generate_uid

from axon_backend.errors import AxonInputError
from axon_backend.imaging.ct import read_ct

HU = chest_ct()
MARKER_LPS = np.array([-155.0 + 70, -155.0 + 90, -115.0 + 180])
# Beside the scan's round field.
Y, X = np.mgrid[0:32, 0:32]
OUTSIDE = ((X - 15.5) / 16) ** 2 + ((Y - 15.5) / 16) ** 2 > 1


def refused(path, pattern):
    with pytest.raises(AxonInputError, match=pattern) as caught:
        read_ct(path)
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


def at_places(slices, places):
    for item, place in zip(slices, places, strict=True):
        item.ImagePositionPatient = [-155.0, -155.0, place]
    return slices


def edited(slices, edit):
    for item in slices:
        edit(item)
    return slices


def side(count, **tags):
    return ct_slices(HU[:count], SeriesNumber=7, SeriesDescription="SIDE", **tags)


def bolus_tracking():
    return at_places(side(8), [0.0] * 8), "8 slices at the same position"


def four_dimensional():
    slices = ct_slices(HU[:20] + np.arange(20)[:, None, None], SeriesNumber=7)
    return at_places(slices, [10.0 * (k % 5) for k in range(20)]), "different slices"


def screen_saves():
    kinds = ["DERIVED", "SECONDARY", "SCREEN SAVE"]
    saves = side(3, ImageType=kinds, ImagePositionPatient=None, ImageOrientationPatient=None)
    return saves, "no CT slice with a position"


def two_values_of_position():
    return edited(side(1), lambda d: setattr(d, "ImagePositionPatient", [0.0, 5.0])), "has the pos"


def not_a_number():
    slices = side(20)
    slices[3].ImagePositionPatient = [0.0, 0.0, float("nan")]
    return slices, "has the position 0.0\\0.0\\nan"


def flat_axes():
    cosines = [1, 0, 0, 1, 0, 0]
    return side(20, ImageOrientationPatient=cosines), "three and six finite numbers"


def frames_as_text():
    return edited(side(20), lambda d: d.add_new(0x00280008, "LO", "one")), "multi-frame"


def localiser():
    return side(1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "localiser images only"


def without_pixel_spacing():
    return ct_slices(np.concatenate([HU, HU]), SeriesNumber=7, PixelSpacing=None), "no PixelSpacing"


def negative_pixel_spacing():
    return ct_slices(np.concatenate([HU, HU]), PixelSpacing=[-10, 10]), "two positive numbers"


def a_cut_file():
    slices = ct_slices(np.concatenate([HU, HU]), SeriesNumber=7)
    slices[4].PixelData = slices[4].PixelData[:100]
    return slices, "could not be decoded"


@pytest.mark.parametrize(
    "make",
    [
        bolus_tracking, four_dimensional, screen_saves, two_values_of_position, not_a_number,
        flat_axes, frames_as_text, localiser, without_pixel_spacing, negative_pixel_spacing,
        a_cut_file,
    ],
    ids=lambda make: make.__name__,
)  # fmt: skip
def test_a_side_series_is_left_out_with_its_reason(tmp_path, make):
    slices, reason = make()
    write_series(tmp_path / "chest", ct_slices(HU, SeriesNumber=2))
    write_series(tmp_path / "side", slices, prefix="t")
    ct = read_ct(tmp_path)
    assert np.array_equal(ct.hu, HU)
    assert any(reason in note for note in ct.assumptions), ct.assumptions
    refused(tmp_path / "side", reason.replace("\\", r"\\") + r".*\. (Export|Give|Convert|.*copy)")


@pytest.mark.parametrize("tag", [(0x00200011, "IS", b"S1"), (0x00200012, "IS", b"x")])
def test_a_number_that_is_none_harms_nobody(tmp_path, tag):
    slices = ct_slices(HU)
    for item in slices:
        item[tag[0]] = pydicom.dataelem.RawDataElement(
            pydicom.tag.Tag(tag[0]), tag[1], len(tag[2]), tag[2], 0, False, True
        )
    assert np.array_equal(read_ct(write_series(tmp_path / "ct", slices)).hu, HU)


def test_rounded_direction_cosines_are_one_series(tmp_path):
    """At a rounding edge of three places, and turned in the plane by 0.1 degrees."""
    for name, turn in (("edge", 1e-5), ("plane", 0.0017)):
        slices = ct_slices(HU)
        for k, item in enumerate(slices):
            angle = 0.0005 + turn * (k % 2) if name == "edge" else turn * (k % 2 - 0.5)
            c, s = float(np.cos(angle)), float(np.sin(angle))
            axis = [1, 0, 0, 0, c, s] if name == "edge" else [c, s, 0, -s, c, 0]
            item.ImageOrientationPatient = [round(v, 6) for v in axis]
        ct = read_ct(write_series(tmp_path / name, slices))
        assert ct.hu.shape == HU.shape
        assert ct.spacing_mm[2] == pytest.approx(10)
        assert np.allclose(brightest_point(ct), MARKER_LPS, atol=0.2)


def test_two_pixel_sizes_are_two_series(tmp_path):
    slices = ct_slices(np.concatenate([HU, HU[:16]]))
    for item in slices[24:]:
        item.PixelSpacing = [5.0, 5.0]
    ct = read_ct(write_series(tmp_path / "ct", slices))
    assert np.array_equal(ct.hu, HU)
    assert "pixels of 10 mm) was read" in ct.assumptions[0]
    assert "pixels of 5 mm)" in ct.assumptions[0]


def test_one_odd_slice_is_left_out_and_filled(tmp_path):
    hu = np.repeat(HU, 2, axis=0)
    slices = at_places(ct_slices(hu), -115.0 + 5.0 * np.arange(48))
    slices[21].PixelSpacing = [9.0, 9.0]
    ct = read_ct(write_series(tmp_path / "ct", slices))
    assert ct.hu.shape == (48, 32, 32)
    assert any("1 slice of series 1 'CHEST' of another size" in note for note in ct.assumptions)
    assert any("1 missing slice" in note for note in ct.assumptions)


def test_identical_copies_are_dropped(tmp_path):
    slices = ct_slices(HU)
    again = ct_slices(HU, SeriesInstanceUID=slices[0].SeriesInstanceUID)[3:8]
    write_series(tmp_path / "ct", slices)
    write_series(tmp_path / "ct", again, prefix="again")
    ct = read_ct(tmp_path / "ct")
    assert np.array_equal(ct.hu, HU)
    assert "left out: 5 identical copies of slices in series 1 'CHEST': dropped" in ct.assumptions


@pytest.mark.parametrize("tag", ["ConvolutionKernel", "NominalPercentageOfCardiacPhase"])
def test_reconstructions_under_one_identifier_are_told_apart(tmp_path, tag):
    uid, values = generate_uid(), {"ConvolutionKernel": ("B30f", "B70f")}.get(tag, (30.0, 70.0))
    for k, value in enumerate(values):
        slices = ct_slices(HU + k, SeriesInstanceUID=uid, **{tag: value})
        write_series(tmp_path / "ct", slices, prefix=str(k))
    ct = read_ct(tmp_path / "ct")
    assert ct.hu.shape == HU.shape
    assert "of 2 CT series" in ct.assumptions[0]


def test_equal_positions_say_what_to_do(tmp_path):
    folder = write_series(tmp_path / "ct", at_places(ct_slices(HU), [0.0] * 24))
    refused(
        folder, "all 24 slices at the same position.*Export the series again with its positions"
    )


def test_slices_with_an_identifier_each_are_put_together(tmp_path):
    slices = ct_slices(HU, FrameOfReferenceUID=generate_uid())
    for item in slices:
        item.SeriesInstanceUID = generate_uid()
    ct = read_ct(write_series(tmp_path / "ct", slices))
    assert np.array_equal(ct.hu, HU)
    assert any("the slices were combined" in note for note in ct.assumptions)
    for item in slices:  # of as many patients
        item.FrameOfReferenceUID = generate_uid()
    refused(write_series(tmp_path / "stray", slices), "no CT series can be used.*Give the folder")


@pytest.mark.parametrize(("said", "value"), [("0", 0), ("not a number", "x")])
def test_a_slope_that_would_blank_the_scan_is_ignored(tmp_path, said, value):
    slices = ct_slices(HU)
    for item in slices:
        if value == 0:
            item.RescaleSlope = 0
        else:
            item[0x00281053] = pydicom.dataelem.RawDataElement(
                pydicom.tag.Tag(0x00281053), "DS", 2, b"x ", 0, False, True
            )
    ct = read_ct(write_series(tmp_path / "ct", slices))
    assert np.array_equal(ct.hu, HU)
    assert f"RescaleSlope is {said}: 1 is used" in ct.assumptions


def test_signed_values_that_are_said_to_be_unsigned(tmp_path):
    slices = ct_slices(HU, RescaleIntercept=0, PixelRepresentation=0)
    for item, plane in zip(slices, HU, strict=True):
        item.PixelData = plane.astype(np.int16).tobytes()
    ct = read_ct(write_series(tmp_path / "ct", slices))
    assert np.array_equal(ct.hu, HU)
    assert "PixelRepresentation is wrong: the values are signed by the image" in ct.assumptions


@pytest.mark.parametrize("offset", [1024, 8192])
@pytest.mark.parametrize("padding", [None, -2000, -900, 0])
def test_a_lost_intercept_is_put_back_whatever_the_padding(tmp_path, offset, padding):
    stored = HU + offset
    if padding is not None:
        stored = np.where(OUTSIDE, padding, stored)
    affine = np.diag([-10.0, -10.0, 10.0, 1.0])
    nib.save(
        nib.Nifti1Image(stored.astype(np.int16).transpose(2, 1, 0), affine), tmp_path / "x.nii"
    )
    ct = read_ct(tmp_path / "x.nii")
    assert np.array_equal(ct.hu[:, ~OUTSIDE], HU[:, ~OUTSIDE])
    if padding is not None:
        assert (ct.hu[:, OUTSIDE] == -1024).all()
    assert any(f"intercept is taken as -{offset}" in note for note in ct.assumptions)


def test_padding_alone_is_no_lost_intercept(tmp_path):
    hu = np.where(OUTSIDE, -2000, HU)
    affine = np.diag([-10.0, -10.0, 10.0, 1.0])
    nib.save(nib.Nifti1Image(hu.astype(np.int16).transpose(2, 1, 0), affine), tmp_path / "x.nii")
    ct = read_ct(tmp_path / "x.nii")
    assert np.array_equal(ct.hu, np.where(OUTSIDE, -1024, HU))
    assert len(ct.assumptions) == 1


@pytest.mark.parametrize("value", [3071, 0, 40])
@pytest.mark.parametrize("declared", [True, False])
def test_bright_padding_is_air(tmp_path, value, declared):
    """Padding that is also a tissue value (40 HU) stays tissue inside the body."""
    tags = {"PixelPaddingValue": value + 1024} if declared else {}
    ct = read_ct(write_series(tmp_path / "ct", ct_slices(np.where(OUTSIDE, value, HU), **tags)))
    assert np.array_equal(ct.hu, np.where(OUTSIDE, -1024, HU))
    assert declared or any(f"{value} HU around the scan is padding" in n for n in ct.assumptions)


def test_padding_of_the_other_sign(tmp_path):
    """-2000 written as the unsigned 63536 beside signed pixels."""
    slices = ct_slices(np.where(OUTSIDE, -976, HU), PixelPaddingValue=48)
    for item in slices:
        stored = np.frombuffer(item.PixelData, np.uint16).astype(np.int32) - 2048
        item.PixelData = stored.astype(np.int16).tobytes()
        item.PixelRepresentation, item.RescaleIntercept = 1, 1024
        item.add_new(0x00280120, "US", 63536)
    assert np.array_equal(
        read_ct(write_series(tmp_path / "ct", slices)).hu, np.where(OUTSIDE, -1024, HU)
    )


def nifti(path, sform, qform):
    image = nib.Nifti1Image(HU.transpose(2, 1, 0).astype(np.float32), None)
    image.set_qform(qform, 1)
    image.set_sform(sform, 1)
    nib.save(image, path)
    return read_ct(path)


def test_forms_that_disagree(tmp_path):
    form = np.diag([-10.0, -10.0, 10.0, 1.0])  # the stored axes run to Left, Posterior, Superior
    plain = nifti(tmp_path / "same.nii", form, form)
    assert np.array_equal(plain.hu, HU)
    assert plain.assumptions == ()
    mirrored = nifti(tmp_path / "mirrored.nii", form, np.diag([10.0, -10.0, 10.0, 1.0]))
    assert np.array_equal(mirrored.hu, HU)
    assert "(one mirrors the other): the sform is used" in mirrored.assumptions[0]
    turned = nifti(tmp_path / "turned.nii", form, np.diag([10.0, 10.0, 10.0, 1.0]))
    assert "(by up to 180 degrees): the sform is used" in turned.assumptions[0]
    scaled = nifti(tmp_path / "scaled.nii", np.diag([-1.0, -1.0, 1.0, 1.0]), form)
    assert scaled.spacing_mm == pytest.approx((10, 10, 10))
    assert "the qform is used" in scaled.assumptions[0]
    empty = nifti(tmp_path / "empty.nii", np.diag([0.0, 0.0, 0.0, 1.0]), form)
    assert np.array_equal(empty.hu, HU)
    assert "sform is unusable" in empty.assumptions[0]
    sheared = form.copy()
    sheared[1, 2] = 3.0  # a gantry tilted by 17 degrees
    assert not any("disagree" in n for n in nifti(tmp_path / "tilt.nii", sheared, form).assumptions)


@pytest.mark.parametrize("step", [-10.0, float("nan")])
def test_a_negative_voxel_size_is_refused(tmp_path, step):
    path = tmp_path / "x.nii"
    nib.save(nib.Nifti1Image(HU.transpose(2, 1, 0), np.diag([-10.0, -10.0, 10.0, 1.0])), path)
    data = bytearray(path.read_bytes())
    data[80:84] = np.float32(step).tobytes()  # pixdim[1]
    data[254:256] = b"\0\0"  # no sform
    path.write_bytes(bytes(data))
    refused(path, "has the voxel size .* Export it again with its true spacing")


@pytest.mark.parametrize(
    ("name", "spacing"),
    [("x.mha", "ElementSpacing = 10 10 -10"), ("x.nrrd", "spacings: 10 10 -10")],
)
def test_a_negative_spacing_in_text_is_refused(tmp_path, name, spacing):
    size = f"DimSize = 32 32 24\nElementType = MET_FLOAT\n{spacing}\nElementDataFile = LOCAL\n"
    head = f"ObjectType = Image\nNDims = 3\nBinaryData = True\n{size}"
    if name.endswith("nrrd"):
        head = f"NRRD0004\ntype: float\ndimension: 3\nsizes: 32 32 24\n{spacing}\nencoding: raw\n"
        head += "endian: little\n\n"
    (tmp_path / name).write_bytes(head.encode() + HU.tobytes())
    refused(tmp_path / name, "10 10 -10; lengths are positive")


def test_bare_data_sets_of_any_name(tmp_path):
    """Without a preamble, a file meta header or an extension."""
    for k, item in enumerate(ct_slices(HU)):
        del item.file_meta
        pydicom.dcmwrite(tmp_path / f"IM{k:04d}", item, implicit_vr=k % 2 == 0, little_endian=True)
    (tmp_path / "readme").write_text("CT of the chest")
    assert np.array_equal(read_ct(tmp_path).hu, HU)


def test_packed_files_and_indices_say_what_to_do(tmp_path):
    folder = write_series(tmp_path / "ct", ct_slices(HU)[:2])
    shutil.make_archive(str(tmp_path / "ct"), "zip", folder)
    refused(tmp_path / "ct.zip", "is an archive or a compressed file. Unpack it first, then give")
    packed = tmp_path / "packed"
    packed.mkdir()
    for path in folder.iterdir():
        (packed / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    refused(packed, "compressed files .*Unpack them and give the folder")
    refused(next(packed.iterdir()), "Unpack it first")
    disc = FileSet()
    for path in folder.iterdir():
        item = pydicom.dcmread(path)
        item.PatientID, item.StudyInstanceUID, item.StudyDate = "x", "1.2.3", "20200101"
        item.StudyTime, item.StudyID, item.PatientName = "120000", "1", "x"
        disc.add(item)
    disc.write(tmp_path / "disc")
    refused(tmp_path / "disc" / "DICOMDIR", "is the index of a DICOM disc.*Give the folder")
