"""Nothing that a command writes names the patient, dates of the patient, or the user's folders."""

import gzip
import json
import os
import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

from axon_backend.cli.main import main

NAME, NUMBER, BORN, STUDIED, USER = "SECRETNAME", "ID47114711", "19500131", "20200102", "usersplace"
SECRETS = re.compile("|".join((NAME, NUMBER, BORN, STUDIED, USER)).encode(), re.IGNORECASE)


def header(sop, modality) -> pydicom.Dataset:
    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = sop
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = generate_uid()
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = f"{NAME}^JOHN", NUMBER, BORN
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = STUDIED
    ds.StudyDescription = ds.SeriesDescription = ds.ProtocolName = f"{NAME} chest"
    ds.InstitutionName = ds.ReferringPhysicianName = ds.AccessionNumber = NAME
    ds.Modality, ds.BodyPartExamined, ds.SamplesPerPixel = modality, "CHEST", 1
    ds.PhotometricInterpretation, ds.BitsAllocated, ds.BitsStored = "MONOCHROME2", 16, 16
    ds.HighBit = 15
    return ds


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, phantom_ct, phantom_xray_file) -> Path:
    """A folder named after its user, with an X-ray and a CT series that name the patient."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("home") / USER
    (folder / "ct").mkdir(parents=True)
    pixels = np.asarray(Image.open(phantom_xray_file)).astype(np.uint16)
    xray = header(DigitalXRayImageStorageForPresentation, "DX")
    xray.ViewPosition, xray.PixelRepresentation = "PA", 0
    xray.Rows, xray.Columns = pixels.shape
    xray.PixelData = pixels.tobytes()
    xray.save_as(folder / "xray.dcm", enforce_file_format=True)
    series = generate_uid()
    for k, plane in enumerate(phantom_ct.hu):
        one = header(CTImageStorage, "CT")
        one.SeriesInstanceUID, one.InstanceNumber = series, k + 1
        one.PixelRepresentation, one.RescaleSlope, one.RescaleIntercept = 1, "1", "0"
        one.Rows, one.Columns = plane.shape
        one.PixelSpacing, one.SliceThickness = ["4", "4"], "4"
        one.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
        x, y, z = phantom_ct.origin_mm
        one.ImagePositionPatient = [x, y, z + 4 * k]
        one.PixelData = plane.astype("<i2").tobytes()
        one.save_as(folder / "ct" / f"{k:03d}.dcm", enforce_file_format=True)
    cases = [{"id": "a", "ct": "ct"}, {"id": "b", "ct": "none.nii.gz"}]
    (folder / "cases.json").write_text(json.dumps(cases))
    studies = [{"id": "a", "frontal": "xray.dcm", "ct": "ct"}, {"id": "b", "frontal": "cases.json"}]
    (folder / "studies.json").write_text(json.dumps(studies))
    return folder


@pytest.fixture(autouse=True)
def _no_volume_rendering(monkeypatch):
    from axon_backend.evaluation import render3d

    monkeypatch.setattr(render3d, "_render_in_subprocess", lambda *args: None)


SAMPLING = "--bundle {bundle} --stages coarse --steps 1 --quiet"
COMMANDS = {
    "reconstruct": f"reconstruct --frontal {{in}}/xray.dcm --ct {{in}}/ct --no-register --dicom "
    f"--samples 2 --keep-stages {SAMPLING} --output {{out}}",
    "register": "register --xray {in}/xray.dcm --bundle {bundle} --quiet --output {out}",
    "drr": "drr {in}/ct --size 64 --output {out}/drr.dcm",
    "drr as PNG": "drr {in}/ct --size 64 --output {out}/drr.png",
    "drr as NIfTI": "drr {in}/ct --size 64 --output {out}/drr.nii.gz",
    "evaluate": f"evaluate --manifest {{in}}/cases.json {SAMPLING} --output {{out}}",
    "cohort": f"cohort reconstruct {{in}}/studies.json --no-register --no-report --dicom "
    f"--workers 1 {SAMPLING} --output {{out}}",
    "prepare": "prepare {in} --anonymise --view-size 64 --voxel 6 --workers 1 --quiet "
    "--output {out}",
}


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_no_output_names_the_patient(command, inputs, tiny_bundle, tmp_path, capsys):
    out = tmp_path / "out"
    if command.startswith("drr"):
        out.mkdir()
    places = {"in": inputs, "bundle": tiny_bundle.path, "out": out}
    code = main([word.format(**places) for word in COMMANDS[command].split()])
    assert code in (0, 1), capsys.readouterr().err
    files = [p for p in out.rglob("*") if p.is_file()]
    assert files
    for file in files:
        if command == "prepare" and file.parent.name == "private":
            if os.name == "posix":
                assert file.parent.stat().st_mode & 0o777 == 0o700
            continue
        data = file.read_bytes()
        if file.suffix == ".gz":
            data = gzip.decompress(data)
        found = SECRETS.search(data) or SECRETS.search(file.name.encode())
        assert found is None, f"{file.relative_to(out)}: {found[0]!r}"


@pytest.mark.slow
def test_the_patient_is_named_when_asked(inputs, tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("AXON_RECORD_PATHS", "1")
    places = {"bundle": tiny_bundle.path}
    words = ["reconstruct", "--frontal", str(inputs / "xray.dcm"), "--no-register",
             "--dicom-patient", "--output", str(tmp_path / "out")]  # fmt: skip
    assert main([*words, *SAMPLING.format(**places).split()]) == 0
    slice_ = pydicom.dcmread(next((tmp_path / "out" / "dicom").iterdir()))
    xray = pydicom.dcmread(inputs / "xray.dcm")
    assert slice_.PatientName == xray.PatientName and slice_.PatientID == NUMBER
    source = slice_.SourceImageSequence[0]
    assert source.ReferencedSOPInstanceUID == xray.SOPInstanceUID
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    assert record["inputs"][0]["path"] == str(inputs / "xray.dcm")
