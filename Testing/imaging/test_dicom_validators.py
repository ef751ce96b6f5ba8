"""What AXON writes as DICOM, judged by others: dciodvfy (Debian's dicom3tools) and dicom-validator,
where they are installed; and what is taken over from source images, by DICOM's own rules."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from imaging_synthetic import as_integers, chest_ct, chest_image, write_xray

from axon_backend.imaging.ct_series_writer import write_ct_series
from axon_backend.imaging.dicom_source import ImageReference, image_reference, patient_and_study
from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.imaging.view import View
from axon_backend.physics.dx_writer import write_dx
from axon_backend.physics.exposure import XraySettings
from axon_backend.physics.pose import Pose

FRAME = ThoraxFrame((0.0, 0.0, 0.0), (320.5, 230.25, 281.0))
# That no patient is named is meant, and a source may lack what would fill these. An oblique view
# has no term of its own in ViewPosition; terms may be added, and readers look there first.
MEANT = ("needed to build DICOMDIR", "Unrecognized defined term <RAO>", "<LAO>", "<RPO>", "<LPO>")
STANDARD = Path.home() / "dicom-validator"  # where it keeps the standard that it has fetched

TAGS = {
    "sound": {
        "PatientName": "Doe^Jane", "PatientID": "17", "PatientBirthDate": "19700131",
        "PatientSex": "F", "StudyInstanceUID": "1.2.826.0.1.17", "StudyDate": "20200102",
        "StudyTime": "101112", "StudyID": "S1",
    },
    "old": {"PatientName": "Doe^Jane", "PatientBirthDate": "1970.01.31", "StudyDate": "2020.01.02"},
    "invalid": {
        "PatientName": "x" * 200, "PatientID": "y" * 99, "PatientBirthDate": "31 Jan 70",
        "PatientSex": "female", "StudyInstanceUID": "1.02.x", "StudyDate": "yesterday",
        "StudyTime": "noon", "SOPInstanceUID": "1.2.03",
    },
    "none": {},
}  # fmt: skip


@pytest.fixture(params=TAGS)
def xray(request, tmp_path):
    """A DICOM X-ray with such tags."""
    with pydicom.config.disable_value_validation():
        return write_xray(
            tmp_path / f"{request.param}.dcm", as_integers(chest_image()), **TAGS[request.param]
        )


@pytest.fixture
def series(xray, tmp_path):
    """A CT series that was computed from it."""
    reference = image_reference(xray)
    return write_ct_series(
        tmp_path / "series", np.resize(chest_ct(), (3, 16, 24)), FRAME,
        derived_from=["frontal X-ray"], sources=[] if reference is None else [reference],
        identity=patient_and_study(xray),
    )  # fmt: skip


def test_only_what_is_valid_is_taken_over(xray, series):
    header = pydicom.dcmread(series[0])
    kind = xray.stem
    assert str(header.PatientName) == ("Doe^Jane" if kind in ("sound", "old") else "")
    assert header.PatientBirthDate == ("19700131" if kind in ("sound", "old") else "")
    assert header.PatientSex == ("F" if kind == "sound" else "")
    assert (header.StudyInstanceUID == "1.2.826.0.1.17") is (kind == "sound")
    assert (header.StudyDate == "20200102") is (kind in ("sound", "old"))
    assert header.StudyInstanceUID.is_valid and header.SOPInstanceUID.is_valid
    if kind == "invalid":
        assert "SourceImageSequence" not in header
    else:
        source = header.SourceImageSequence[0]
        assert source.ReferencedSOPInstanceUID == pydicom.dcmread(xray).SOPInstanceUID


def test_what_is_no_dicom_has_nothing_to_take_over(tmp_path):
    (tmp_path / "x.png").write_bytes(b"\x89PNG")
    assert image_reference(tmp_path / "x.png") is None
    assert len(patient_and_study(tmp_path / "x.png")) == 0
    assert image_reference(tmp_path / "missing.dcm") is None


def judged(file) -> list[str]:
    done = subprocess.run(
        ["dciodvfy", str(file)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    found = [line for line in done.stdout.splitlines() if line.startswith(("Error", "Warning"))]
    return [line for line in found if not any(words in line for words in MEANT)]


needs_dciodvfy = pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy (Debian: dicom3tools) is not installed"
)


@needs_dciodvfy
def test_dciodvfy_accepts_the_series(series):
    for file in series:
        assert judged(file) == []


@needs_dciodvfy
def test_dciodvfy_accepts_drrs(tmp_path):
    image = np.linspace(0, 1, 64 * 64).reshape(64, 64)
    for view in View:
        for turn in (0.0, 40.0):
            geometry = Pose(rotation_deg=(0.0, 0.0, turn)).geometry(FRAME, view)
            for shown, settings in ((True, XraySettings()), (False, None)):
                file = tmp_path / "x.dcm"
                write_dx(file, image, geometry, view, shown=shown, settings=settings, mas=1.5)
                assert judged(file) == [], (view, turn)
    dataset = pydicom.dcmread(file)
    del dataset.DetectorType
    dataset.save_as(file)
    assert any("Detector" in line for line in judged(file))  # it does look


@pytest.mark.skipif(
    shutil.which("validate_iods") is None or not STANDARD.is_dir(),
    reason="dicom-validator, or its copy of the standard, is not there",
)
def test_dicom_validator_accepts_the_series(series):
    words = ["validate_iods", "--edition", "local", str(series[0])]
    done = subprocess.run(words, capture_output=True, text=True)
    assert "Errors" not in done.stdout, done.stdout


def test_references_name_the_purpose(tmp_path):
    reference = ImageReference("1.2.840.10008.5.1.4.1.1.1.1", "1.2.3")
    file = write_ct_series(tmp_path / "s", np.zeros((2, 4, 4)), FRAME, sources=[reference])[0]
    one = pydicom.dcmread(file).SourceImageSequence[0]
    assert one.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
