"""A volume written as a DICOM CT series is what was written, and says what it is."""

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from imaging_synthetic import brightest_point, chest_ct
from pydicom.uid import CTImageStorage
from pydicom.valuerep import validate_value

from axon_backend.errors import AxonInputError, OutputError
from axon_backend.imaging.ct import CTVolume, read_ct
from axon_backend.imaging.ct_series_writer import write_ct_series
from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.imaging.write import RESEARCH_NOTE

HU = chest_ct()
ORIGIN, SPACING = (-151.25, -140.5, 403.125), (9.5, 10.25, 8.125)
CT = CTVolume(HU, SPACING, ORIGIN)
# Type 1 of the modules that PS3.3 A.3 makes mandatory for CT images ...
FILLED = [
    "StudyInstanceUID", "Modality", "SeriesInstanceUID", "FrameOfReferenceUID", "PixelSpacing",
    "ImageOrientationPatient", "ImagePositionPatient", "SamplesPerPixel",
    "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "PixelData", "ImageType", "RescaleIntercept", "RescaleSlope",
    "SOPClassUID", "SOPInstanceUID", "SpecificCharacterSet", "PatientPosition",
]  # fmt: skip
# ... and type 2, which may be empty but not missing.
PRESENT = [
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "ReferringPhysicianName", "StudyID", "AccessionNumber", "SeriesNumber",
    "PositionReferenceIndicator", "Manufacturer", "InstanceNumber", "SliceThickness", "KVP",
    "AcquisitionNumber",
]  # fmt: skip


def rotation(angle_deg: float, axis: int) -> np.ndarray:
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    a, b = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = np.eye(3)
    matrix[[a, a, b, b], [a, b, a, b]] = c, -s, s, c
    return matrix


def posed() -> np.ndarray:
    """(4, 4) of a volume that a pose has rotated about all three axes."""
    affine = np.eye(4)
    affine[:3, :3] = rotation(12, 0) @ rotation(-7, 1) @ rotation(5, 2) * np.array(SPACING)
    affine[:3, 3] = ORIGIN
    return affine


def test_it_reads_back_with_equal_geometry_and_hu(tmp_path):
    files = write_ct_series(tmp_path / "series", HU, CT)
    assert [f.parent for f in files] == [tmp_path / "series"] * len(HU)
    assert sorted((tmp_path / "series").iterdir()) == files
    back = read_ct(tmp_path / "series")
    assert np.array_equal(back.hu, HU)
    assert back.spacing_mm == pytest.approx(SPACING, abs=1e-9)
    assert back.origin_mm == pytest.approx(ORIGIN, abs=1e-9)
    assert back.assumptions == ()


def test_a_thorax_frame_is_filled_exactly(tmp_path):
    frame = ThoraxFrame((3.5, -20.25, 111.0), (320.5, 230.25, 281.0))
    hu = np.resize(HU, (24, 24, 24))
    write_ct_series(tmp_path / "s", hu, frame)
    back = read_ct(tmp_path / "s")
    assert np.array_equal(back.hu, hu)
    assert back.size_mm == pytest.approx(frame.size_mm)
    assert back.origin_mm == pytest.approx(frame.origin_mm(24))


def test_a_rotated_volume_keeps_its_place_in_the_patient(tmp_path):
    affine = posed()
    folder = tmp_path / "s"
    write_ct_series(folder, HU, affine)
    # An independent reader: ITK's.
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    assert np.array_equal(sitk.GetArrayFromImage(image), HU)
    read = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    assert read == pytest.approx(affine[:3, :3], abs=1e-6)
    assert image.GetOrigin() == pytest.approx(ORIGIN)
    # Ours resamples it to the body's axes, as it says.
    ours = read_ct(folder)
    expected = CTVolume.from_affine(HU, affine)
    assert np.allclose(ours.hu, np.maximum(expected.hu, -1024), atol=0.01)
    assert "oblique" in ours.assumptions[0]
    marker = affine @ [*np.unravel_index(HU.argmax(), HU.shape)[::-1], 1]
    assert brightest_point(ours) == pytest.approx(marker[:3], abs=10)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0), (0, 2, 1)])
@pytest.mark.parametrize("flip", [(1, 1, 1), (-1, 1, -1), (1, 1, -1)])
def test_any_axis_order_and_handedness(tmp_path, order, flip):
    """The same body stored along other axes reads back the same."""
    to_lps = np.eye(4)
    to_lps[:3, :3] = np.diag(SPACING)[:, order] * np.array(flip)
    # [k, j, i] of the stored array: i runs along world axis order[0], and so on.
    stored = np.transpose(HU, [2 - order[2], 2 - order[1], 2 - order[0]])
    stored = stored[tuple(slice(None, None, flip[a]) for a in (2, 1, 0))]
    ends = np.array([(n - 1) * (f < 0) for n, f in zip(stored.shape[::-1], flip, strict=True)])
    to_lps[:3, 3] = np.array(ORIGIN) - to_lps[:3, :3] @ ends
    write_ct_series(tmp_path / "s", stored, to_lps)
    back = read_ct(tmp_path / "s")
    assert np.array_equal(back.hu, HU)
    assert back.origin_mm == pytest.approx(ORIGIN)
    assert back.spacing_mm == pytest.approx(SPACING)


def test_every_required_tag_is_there_and_uids_are_unique(tmp_path):
    headers = [pydicom.dcmread(f) for f in write_ct_series(tmp_path / "s", HU, CT)]
    for number, header in enumerate(headers, start=1):
        for tag in FILLED:
            assert header.get(tag) not in (None, ""), tag
        for tag in PRESENT:
            assert tag in header, tag
        assert header.SOPClassUID == header.file_meta.MediaStorageSOPClassUID == CTImageStorage
        assert header.SOPInstanceUID == header.file_meta.MediaStorageSOPInstanceUID
        assert header.InstanceNumber == number
        assert (header.BitsAllocated, header.RescaleType) == (16, "HU")
        assert len(header.PixelData) == 2 * header.Rows * header.Columns
        # What is written has to be of the form that its value representation allows.
        for element in header:
            if isinstance(element.value, str):
                validate_value(element.VR, element.value, pydicom.config.RAISE)
    for tag in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        assert len({h[tag].value for h in headers}) == 1
    uids = {h.SOPInstanceUID for h in headers} | {h.SeriesInstanceUID for h in headers}
    assert len(uids) == len(headers) + 1
    again = pydicom.dcmread(write_ct_series(tmp_path / "again", HU, CT)[0])
    assert again.SOPInstanceUID not in uids and again.SeriesInstanceUID not in uids


def test_it_says_that_it_is_derived_and_for_research(tmp_path):
    file = write_ct_series(
        tmp_path / "s", HU, CT, description="sr, seed 3", derived_from=["pa.dcm", "ll.dcm"]
    )[0]
    header = pydicom.dcmread(file)
    assert header.ImageType[:2] == ["DERIVED", "SECONDARY"]
    assert header.SeriesDescription == f"{RESEARCH_NOTE}; sr, seed 3"
    assert header.ImageComments == f"{RESEARCH_NOTE}; sr, seed 3"
    assert "pa.dcm; ll.dcm" in header.DerivationDescription
    assert "not acquired by a CT scanner" in header.DerivationDescription
    assert (header.BurnedInAnnotation, header.LossyImageCompression) == ("NO", "00")
    assert header.Manufacturer == "AXON" and header.SoftwareVersions


def test_patient_tags_are_empty_unless_given(tmp_path):
    plain = pydicom.dcmread(write_ct_series(tmp_path / "a", HU, CT)[0])
    for tag in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex"):
        assert str(plain[tag].value) == ""
    identity = pydicom.Dataset()
    identity.PatientName, identity.PatientID = "Müller^Zoë", "17"
    identity.PatientBirthDate, identity.PatientSex = "1970.01.31", "F"
    given = pydicom.dcmread(
        write_ct_series(
            tmp_path / "b", HU, CT, identity=identity, study_uid="1.2.3",
            frame_of_reference_uid="1.2.4", series_number=900,
        )[0]
    )  # fmt: skip
    assert (str(given.PatientName), given.PatientID) == ("Müller^Zoë", "17")
    assert (given.PatientBirthDate, given.PatientSex) == ("19700131", "F")
    assert (given.StudyInstanceUID, given.FrameOfReferenceUID) == ("1.2.3", "1.2.4")
    assert given.SeriesNumber == 900


def test_long_and_awkward_descriptions_stay_valid(tmp_path):
    file = write_ct_series(tmp_path / "s", HU, CT, description="C:\\data\\" + "long " * 400)[0]
    header = pydicom.dcmread(file)
    assert len(header.SeriesDescription) <= 64
    assert len(header.DerivationDescription) <= 1024


def test_values_are_rounded_and_clipped_to_what_dicom_holds(tmp_path):
    hu = HU.copy()
    hu[0, 0, :4] = (-40000, 40000, 12.6, -12.4)
    header = pydicom.dcmread(write_ct_series(tmp_path / "s", hu, CT)[0])
    assert header.pixel_array[0, :4].tolist() == [-32768, 32767, 13, -12]


def test_an_existing_folder_is_left_alone(tmp_path):
    (tmp_path / "s").mkdir()
    with pytest.raises(AxonInputError, match="already exists"):
        write_ct_series(tmp_path / "s", HU, CT)
    assert list(tmp_path.rglob("*")) == [tmp_path / "s"]
    with pytest.raises(AxonInputError, match="does not exist"):
        write_ct_series(tmp_path / "no" / "s", HU, CT)


@pytest.mark.parametrize(
    ("hu", "geometry", "message"),
    [
        (np.full((3, 3, 3), np.nan), CT, "not numbers"),
        (HU[0], CT, "3 axes"),
        (HU, np.eye(3), "4 x 4"),
        (HU, np.diag([0.0, 1, 1, 1]), "voxel size"),
        (HU, np.array([[1, 0.2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "sheared"),
    ],
)
def test_what_cannot_be_written_is_refused_and_nothing_is_left(tmp_path, hu, geometry, message):
    with pytest.raises(AxonInputError, match=message):
        write_ct_series(tmp_path / "s", hu, geometry)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    from axon_backend.imaging import ct_series_writer as writer

    save, done = writer._save, []

    def full(path, *args):
        if len(done) == 5:
            raise OSError(28, "No space left on device")
        done.append(path)
        return save(path, *args)

    monkeypatch.setattr(writer, "_save", full)
    with pytest.raises(OutputError, match="No space left"):
        write_ct_series(tmp_path / "s", HU, CT)
    assert len(done) == 5 and list(tmp_path.iterdir()) == []
