"""Nothing that a command writes names the patient, dates of the patient, or the user's folders."""

import gzip
import json
import os
import re
import shutil
import time
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
from training_tiny import TINY, write_runs

from axon_backend.cli import demo
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
    ds.StudyInstanceUID = generate_uid()
    ds.StudyDescription = ds.SeriesDescription = ds.ProtocolName = f"{NAME} chest"
    ds.InstitutionName = ds.ReferringPhysicianName = ds.AccessionNumber = NAME
    ds.Modality, ds.BodyPartExamined, ds.SamplesPerPixel = modality, "CHEST", 1
    ds.PhotometricInterpretation, ds.BitsAllocated, ds.BitsStored = "MONOCHROME2", 16, 16
    ds.HighBit = 15
    return ds


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, phantom_ct, phantom_ct_file, phantom_xray_file) -> Path:
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
    cts = {"train": ["ct"], "validation": [str(phantom_ct_file)]}
    (folder / "cts.json").write_text(json.dumps(cts))
    (folder / "tiny.yaml").write_text(json.dumps(TINY))  # YAML, too
    write_runs(folder / "runs")
    for file in (folder / "runs").glob("*/run.json"):
        state = json.loads(file.read_text())
        state |= {"data": str(folder / "cts.json"), "command": ["axon", str(folder)]}
        file.write_text(json.dumps(state))
    return folder


@pytest.fixture(autouse=True)
def _no_volume_rendering(monkeypatch):
    from axon_backend.evaluation import render3d

    monkeypatch.setattr(render3d, "_render_in_subprocess", lambda *args: None)


SAMPLING = "--bundle {bundle} --stages coarse --steps 1 --quiet"
COMMANDS = {
    "reconstruct": f"reconstruct --frontal {{in}}/xray.dcm --ct {{in}}/ct --no-register --dicom "
    f"--samples 2 --keep-stages --interactive {SAMPLING} --output {{out}}",
    "register": "register --xray {in}/xray.dcm --bundle {bundle} --quiet --output {out}",
    "drr": "drr {in}/ct --size 64 --output {out}/drr.dcm",
    "drr as PNG": "drr {in}/ct --size 64 --output {out}/drr.png",
    "drr as NIfTI": "drr {in}/ct --size 64 --output {out}/drr.nii.gz",
    "evaluate": f"evaluate --manifest {{in}}/cases.json {SAMPLING} --output {{out}}",
    "cohort": f"cohort reconstruct {{in}}/studies.json --no-register --no-report --dicom "
    f"--workers 1 {SAMPLING} --output {{out}}",
    "prepare": "prepare {in} --anonymise --view-size 64 --voxel 6 --workers 1 --quiet "
    "--output {out}",
    "train": "train encoder --data {in}/cts.json --config {in}/tiny.yaml --steps 2 --device cpu "
    "--set validation.samples=1 --quiet --run {out}",
    "bundle export": "bundle export {in}/runs {out}",
    "bundle calibrate": "bundle calibrate {bundle} --data {in}/cts.json --each 1 --steps 2 "
    "--output {out}",
    "demo": "demo --bundle {bundle} --quiet --output {out}",
}


def check(out: Path, *, but: tuple[str, ...] = ()) -> None:
    """No file of a folder, nor its name, holds a secret; ``but`` names files that may."""
    files = [p for p in out.rglob("*") if p.is_file()]
    assert files
    for file in files:
        data = file.read_bytes()
        if file.suffix == ".gz":
            data = gzip.decompress(data)
        inside = None if file.name in but else SECRETS.search(data)
        found = inside or SECRETS.search(str(file.relative_to(out)).encode())
        assert found is None, f"{file.relative_to(out)}: {found[0]!r}"


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_no_output_names_the_patient(
    command, inputs, tiny_bundle, phantom_ct_file, tmp_path, capsys, monkeypatch
):
    out = tmp_path / USER / "out"
    (out if command.startswith("drr") else out.parent).mkdir(parents=True)
    if command == "demo":  # whose own images name nobody
        monkeypatch.setattr(demo, "XRAY", inputs / "xray.dcm")
        monkeypatch.setattr(demo, "CT", phantom_ct_file)
    places = {"in": inputs, "bundle": tiny_bundle.path, "out": out}
    code = main([word.format(**places) for word in COMMANDS[command].split()])
    assert code in (0, 1), capsys.readouterr().err
    if command == "prepare":
        private = out / "private"
        if os.name == "posix":
            assert private.stat().st_mode & 0o777 == 0o700
        shutil.rmtree(private)
    if command == "train":  # to resume and to watch it, the paths of data and run are needed
        for name in ("run.json", "events.jsonl"):
            text = (out / name).read_text()
            assert USER in text
            (out / name).write_text(text.replace(USER, ""))
    check(out)


@pytest.mark.slow
def test_the_dicom_node_names_the_patient_in_dicom_files_only(inputs, tiny_bundle, tmp_path):
    """What it received, and what it sends back into the same study."""
    pytest.importorskip("pynetdicom")
    from kills import send

    from axon_backend.cohort.dicom_service import DicomService, ServiceSettings
    from axon_backend.cohort.settings import CohortSettings

    said: list[str] = []
    cohort = CohortSettings(
        str(tiny_bundle.path), ("coarse",), (1,), register=False, dicom="identified"
    )
    out = tmp_path / USER / "node"
    settings = ServiceSettings(port=0, settle_seconds=0.01, cohort=cohort)
    with DicomService(out, settings, said.append) as service:
        send((inputs / "xray.dcm").read_bytes(), service.port, 1)
        time.sleep(0.02)
        while service.step():
            pass
    (case,) = (out / "cases").iterdir()
    assert json.loads((case / "case.json").read_text())["status"] == "done"
    slices = list((case / "dicom").iterdir())
    assert {str(pydicom.dcmread(file).PatientID) for file in slices} == {NUMBER}
    if os.name == "posix":
        for name in ("received", "cases", "sent"):
            assert (out / name).stat().st_mode & 0o777 == 0o700
    received = next((out / "received").glob("*/*.dcm"))
    check(out, but=(received.name, *(file.name for file in slices)))
    assert not SECRETS.search("\n".join(said).encode())


def test_fetched_xrays_are_named_after_nobody_and_readable_for_their_owner_only(inputs, tmp_path):
    """The files are what the server has, with the patient in them."""
    from kills import Archive

    from axon_backend.cohort.dicomweb import fetch

    out = tmp_path / USER / "studies"
    archive = Archive((inputs / "xray.dcm").read_bytes(), studies=1, images=1)
    assert fetch(archive, out).images == 1
    (file,) = out.glob("*/*.dcm")
    assert pydicom.dcmread(file).PatientID == NUMBER
    check(out, but=(file.name,))
    if os.name == "posix":
        assert file.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.slow
def test_a_case_saved_from_the_viewer_names_nobody(inputs, tiny_bundle, tmp_path):
    from axon_backend.inference.case_files import read_case
    from axon_backend.inference.session import InferenceSession
    from axon_backend.viewer.settings import RunSettings
    from axon_backend.viewer.xray_case import XrayCase

    session = InferenceSession(tiny_bundle, "cpu")
    case = XrayCase(read_case(inputs / "xray.dcm", None, inputs / "ct"), session)
    result = case.reconstruct(RunSettings(("coarse",), (1,)), allow_poor=True)
    (tmp_path / USER).mkdir()
    check(case.save(result, tmp_path / USER / "out"))


def test_every_command_is_looked_at_and_killed():
    """Those left out write no files, or import and delete models."""
    import argparse

    from axon_backend.cli.main import parser as all_commands

    def names(parser: argparse.ArgumentParser, before: str = "") -> set[str]:
        inner = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        if not inner:
            return {before.strip()}
        return {n for k, p in inner[0].choices.items() for n in names(p, f"{before} {k}")}

    files = {" ".join(words.split()[: 2 if words.split()[0] in GROUPS else 1])
             for words in COMMANDS.values()}  # fmt: skip
    # tests of their own; as evaluate
    apart = {"dicom serve", "dicom fetch", "view", "cohort evaluate"}
    silent = {"selfcheck", "bundle list", "bundle show", "bundle import", "bundle delete",
              "bundle verify", "dicom send"}  # fmt: skip
    assert names(all_commands()) == files | apart | silent
    killed = set(
        re.findall(r'Command\("([a-z ]+)"', Path(__file__).with_name("kills.py").read_text())
    )
    # evaluated as by evaluate; deleted before each import
    alike = {"cohort evaluate", "bundle delete"}
    assert killed | alike == files | apart | {"bundle import", "bundle delete"}


GROUPS = ("bundle", "cohort")


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
