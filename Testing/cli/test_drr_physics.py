"""`axon drr` with physics: files that come back as they were written, options refused in words."""

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from PIL import Image
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
)

from axon_backend.cli.main import main
from axon_backend.errors import AxonInputError
from axon_backend.imaging.frame import find_thorax_frame
from axon_backend.imaging.radiograph import read_radiograph
from axon_backend.imaging.view import View
from axon_backend.physics.drr import render_drr
from axon_backend.physics.geometry import AcquisitionGeometry


def drr(ct_file, output, *more) -> int:
    return main(["drr", str(ct_file), "--output", str(output), "--size", "96", *map(str, more)])


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


@pytest.mark.parametrize("view", list(View))
@pytest.mark.parametrize("look", ["linear", "clinical"])
def test_dicom_comes_back_with_its_size_view_and_polarity(
    view, look, phantom_ct, phantom_ct_file, tmp_path
):
    options = ("--physics", "poly", "--view", view.value, "--look", look)
    assert drr(phantom_ct_file, tmp_path / "x.dcm", *options) == 0
    xray = read_radiograph(tmp_path / "x.dcm")
    frame = find_thorax_frame(phantom_ct)
    width, height = AcquisitionGeometry.of_frame(frame, view).extent_mm
    assert xray.view is view
    assert xray.pixel_mm == pytest.approx((height / 96, width / 96), rel=1e-3)
    assert not any("dark" in note or "inverted" in note for note in xray.assumptions)
    true = render_drr(phantom_ct, AcquisitionGeometry.of_frame(frame, view), 96).numpy()
    if xray.pixels.shape == true.shape:  # else a black border was cropped
        assert correlation(xray.pixels, true) > (0.98 if look == "linear" else 0.8)
    if look == "linear":
        assert xray.pixels.max() > xray.pixels.min() + 4000  # 4000 levels a factor e


def test_mono_dicom_is_the_line_integral(phantom_ct, phantom_ct_file, tmp_path):
    assert drr(phantom_ct_file, tmp_path / "x.dcm") == 0
    stored = pydicom.dcmread(tmp_path / "x.dcm").pixel_array.astype(float)
    true = render_drr(
        phantom_ct, AcquisitionGeometry.of_frame(find_thorax_frame(phantom_ct), View.pa), 96
    ).numpy()
    assert np.abs((stored - 2000) / 4000 - true).max() < 2e-4


def test_tags_of_a_digital_x_ray_image(phantom_ct_file, tmp_path):
    options = ("--physics", "poly", "--kvp", 110, "--filtration", "2.8,0.2", "--sid", 1500)
    assert drr(phantom_ct_file, tmp_path / "x.dcm", *options, "--view", "ap") == 0
    ds = pydicom.dcmread(tmp_path / "x.dcm")
    assert ds.SOPClassUID == DigitalXRayImageStorageForPresentation
    assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
    assert (ds.Modality, ds.PresentationIntentType) == ("DX", "FOR PRESENTATION")
    assert list(ds.ImageType) == ["DERIVED", "SECONDARY"] and ds.BurnedInAnnotation == "NO"
    assert "research use only" in ds.SeriesDescription + ds.DerivationDescription
    assert (ds.DistanceSourceToDetector, ds.DistanceSourceToPatient) == (1500, 1300)
    spacing = np.array(ds.ImagerPixelSpacing, float) * 1300 / 1500
    assert "PixelSpacing" not in ds  # nothing was calibrated in the patient
    assert float(ds.KVP) == 110 and ds.ViewPosition == "AP"
    assert list(ds.PatientOrientation) == ["L", "F"]
    assert list(ds.FilterMaterial) == ["ALUMINUM", "COPPER"]
    assert [float(v) for v in ds.FilterThicknessMinimum] == [2.8, 0.2]
    assert (ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign) == ("LOG", -1)
    assert ds.ExposureIndex == 250 and int(ds.ExposureInuAs) > 100
    assert ds.PatientName == "" and ds.PatientID == ""
    assert read_radiograph(tmp_path / "x.dcm").pixel_mm == pytest.approx(spacing, rel=1e-6)


# Type 1 of the DX image's mandatory modules (PS3.3 A.26.3): present and not empty.
TYPE_1 = """SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID Modality
PresentationIntentType SamplesPerPixel PhotometricInterpretation Rows Columns BitsAllocated
BitsStored HighBit PixelRepresentation PixelData ImageType PixelIntensityRelationship
PixelIntensityRelationshipSign RescaleIntercept RescaleSlope RescaleType PresentationLUTShape
LossyImageCompression BurnedInAnnotation PatientOrientation ImageLaterality ImagerPixelSpacing"""
TYPE_2 = """PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime AccessionNumber
StudyID ReferringPhysicianName SeriesNumber InstanceNumber Manufacturer DetectorType
AnatomicRegionSequence AcquisitionContextSequence PositionerType"""


@pytest.mark.parametrize("physics", ["mono", "poly"])
def test_what_the_standard_demands_is_there(physics, phantom_ct_file, tmp_path):
    assert drr(phantom_ct_file, tmp_path / "x.dcm", "--physics", physics) == 0
    ds = pydicom.dcmread(tmp_path / "x.dcm")
    for name in TYPE_1.split():
        assert name in ds and ds[name].value not in (None, ""), name
    for name in TYPE_2.split():
        assert name in ds, name
    if ds.PresentationIntentType == "FOR PRESENTATION":
        assert "WindowCenter" in ds
    else:
        assert ds.SOPClassUID == DigitalXRayImageStorageForProcessing


@pytest.mark.parametrize(
    ("angle", "position"),
    [("10", "PA"), ("45", "LAO"), ("-45", "RAO"), ("135", "LPO"), ("180", "AP")],
)
def test_turned_views_have_their_name(angle, position, phantom_ct_file, tmp_path):
    assert drr(phantom_ct_file, tmp_path / "x.dcm", f"--angle={angle}") == 0
    assert pydicom.dcmread(tmp_path / "x.dcm").ViewPosition == position


def test_our_reader_says_what_an_oblique_view_is(phantom_ct_file, tmp_path):
    assert drr(phantom_ct_file, tmp_path / "x.dcm", "--angle", "45") == 0
    with pytest.raises(AxonInputError, match="LAO"):
        read_radiograph(tmp_path / "x.dcm")


def test_drrs_of_a_ct_are_one_study(phantom_ct_file, tmp_path):
    from axon_backend.cohort.studies import find_studies

    folder = tmp_path / "drrs"
    folder.mkdir()
    for view in ("pa", "lateral"):
        assert drr(phantom_ct_file, folder / f"{view}.dcm", "--view", view) == 0
    one, other = (pydicom.dcmread(folder / f"{view}.dcm") for view in ("pa", "lateral"))
    assert one.StudyInstanceUID == other.StudyInstanceUID
    assert one.SeriesInstanceUID != other.SeriesInstanceUID
    assert one.SOPInstanceUID != other.SOPInstanceUID
    [study] = find_studies(folder)
    assert {xray.role for xray in study.xrays} == {"frontal", "lateral"}
    # Another CT is another study.
    image = sitk.ReadImage(str(phantom_ct_file))
    sitk.WriteImage(image + 1, str(tmp_path / "other.nii.gz"))
    assert drr(tmp_path / "other.nii.gz", tmp_path / "x.dcm") == 0
    assert pydicom.dcmread(tmp_path / "x.dcm").StudyInstanceUID != one.StudyInstanceUID


def test_half_a_turn_of_a_pa_is_an_ap_seen_from_behind(phantom_ct, phantom_ct_file, tmp_path):
    assert drr(phantom_ct_file, tmp_path / "x.nii.gz", "--angle", "180") == 0
    image = sitk.ReadImage(str(tmp_path / "x.nii.gz"))
    turned = sitk.GetArrayFromImage(image).squeeze()[::-1]
    ap = render_drr(
        phantom_ct, AcquisitionGeometry.of_frame(find_thorax_frame(phantom_ct), View.ap), 96
    ).numpy()
    assert np.allclose(turned, ap[:, ::-1], atol=1e-4)
    # Its columns run to the patient's right, and so does the plane.
    assert image.GetDirection()[0] == pytest.approx(-1)


def test_detector_and_pixel_are_in_millimetres_on_the_detector(phantom_ct_file, tmp_path):
    options = ["--detector", "400,320", "--pixel", "4", "--sid", "1000", "--sod", "800"]
    target = tmp_path / "x.dcm"
    assert main(["drr", "--ct", str(phantom_ct_file), "--output", str(target), *options]) == 0
    ds = pydicom.dcmread(target)
    assert (ds.Rows, ds.Columns) == (80, 100)
    assert [float(v) for v in ds.ImagerPixelSpacing] == [4, 4]
    assert list(ds.FieldOfViewDimensions) == [320, 400]
    assert read_radiograph(target).pixel_mm == pytest.approx((3.2, 3.2))


def test_seed_and_noise(phantom_ct_file, tmp_path):
    def image(name: str, *more) -> np.ndarray:
        target = tmp_path / f"{name}.png"
        assert drr(phantom_ct_file, target, "--physics", "poly", "--look", "linear", *more) == 0
        return np.asarray(Image.open(target)).astype(float)

    one, same, other = image("a"), image("b", "--seed", 0), image("c", "--seed", 1)
    clean = image("d", "--noise", "none")
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    low = image("e", "--exposure-index", 10)
    assert np.std(low - clean) > 2 * np.std(one - clean) > 0


def test_png_says_what_it_is(phantom_ct_file, tmp_path):
    assert drr(phantom_ct_file, tmp_path / "x.png", "--physics", "poly") == 0
    with Image.open(tmp_path / "x.png") as image:
        assert "research use only" in image.text["Description"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--kvp", "90"], "--physics poly"),
        (["--physics", "poly", "--kvp", "300"], "40 and 150"),
        (["--physics", "poly", "--grid", "1"], "ratio"),
        (["--physics", "poly", "--filtration", "x"], "--filtration"),
        (["--physics", "poly", "--mas", "2", "--exposure-index", "200"], "--mas"),
        (["--physics", "poly", "--collimation", "1,2,3"], "--collimation"),
        (["--angle", "1,2,3,4"], "--angle"),
        (["--sid", "1000", "--sod", "1200"], "SOD"),
        (["--detector", "5"], "--detector"),
        (["--pixel", "4"], "--size"),
        (["--ct", "other.nii.gz"], "exactly one CT"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, words, phantom_ct_file, tmp_path, capsys):
    assert drr(phantom_ct_file, tmp_path / "x.png", *options) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1
    assert not (tmp_path / "x.png").exists()
