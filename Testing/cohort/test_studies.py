"""Which studies a source holds, and which X-rays each is made from."""

from __future__ import annotations

import json

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from axon_backend.cohort.studies import find_studies
from axon_backend.errors import AxonInputError

DX = "1.2.840.10008.5.1.4.1.1.1.1"


def dx(path, patient: str, study: str, view: str | None, **tags) -> None:
    item = Dataset()
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item.file_meta.MediaStorageSOPClassUID = item.SOPClassUID = DX
    item.SOPInstanceUID = item.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    item.SeriesInstanceUID, item.StudyInstanceUID = generate_uid(), study
    item.PatientID, item.Modality, item.BodyPartExamined = patient, "DX", "CHEST"
    if view is not None:
        item.ViewPosition = view
    item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
    item.Rows, item.Columns = 8, 8
    item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation = 16, 12, 11, 0
    item.PixelData = np.zeros((8, 8), "<u2").tobytes()
    for keyword, value in tags.items():
        setattr(item, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, item, enforce_file_format=True)


def found_in(source, tmp_path):
    return find_studies(source, memory=tmp_path / "memory.gz")


def roles(study) -> dict:
    return {xray.role: xray.file.rsplit("/", 1)[-1] for xray in study.xrays}


def test_a_dicom_tree_gives_one_study_for_each_study_uid(tmp_path):
    root = tmp_path / "tree"
    dx(root / "x/1.dcm", "P1", "1.2.1", "PA")
    dx(root / "y/2.dcm", "P1", "1.2.1", "LL")
    dx(root / "z/3.dcm", "P1", "1.2.2", "AP")  # the same patient, another day
    dx(root / "z/4.dcm", "P2", "1.2.3", "LL")  # a lateral alone
    dx(root / "z/5.dcm", "P3", "1.2.4", None)
    dx(root / "z/6.dcm", "", "1.2.5", "PA")
    studies = found_in(root, tmp_path)
    by_files = {tuple(sorted(roles(s).values())): s for s in studies}
    assert len(studies) == len({s.id for s in studies}) == 5
    first, second = by_files["1.dcm", "2.dcm"], by_files[("3.dcm",)]
    assert roles(first) == {"frontal": "1.dcm", "lateral": "2.dcm"}
    assert first.id.startswith("P1-") and second.id.startswith("P1-")
    assert by_files[("4.dcm",)].problem == "it has no frontal X-ray"
    assert by_files[("5.dcm",)].id == "P3" and by_files[("5.dcm",)].xrays[0].role is None
    assert by_files[("6.dcm",)].id.startswith("study-")


def test_plain_files_are_grouped_by_their_names(tmp_path):
    root = tmp_path / "plain"
    root.mkdir()
    for name in ("p1_pa.png", "p1_lateral.png", "p2_ap.png", "p3_lateral.png", "p2_ct.nii.gz"):
        (root / name).write_bytes(b"")
    studies = {s.id: s for s in found_in(root, tmp_path)}
    assert roles(studies["p1"]) == {"frontal": "p1_pa.png", "lateral": "p1_lateral.png"}
    assert studies["p2"].ct == (str(root / "p2_ct.nii.gz"),)
    assert studies["p3"].problem == "it has no frontal X-ray"


def test_a_manifest_needs_no_ct_and_takes_urls(tmp_path):
    (tmp_path / "pa.png").write_bytes(b"")
    rows = [
        {"id": "one", "frontal": "pa.png"},
        {"id": "../two", "frontal": "s3://bucket/pa.dcm", "lateral": None},
        {"id": "three", "frontal": "gone.png"},
        {"id": "four", "lateral": "pa.png"},
    ]
    manifest = tmp_path / "m.json"
    manifest.write_text(json.dumps(rows))
    one, two, three, four = found_in(manifest, tmp_path)
    assert (one.xrays[0].file, one.problem) == (str(tmp_path / "pa.png"), "")
    assert (two.id, two.xrays[0].file, two.problem) == ("two", "s3://bucket/pa.dcm", "")
    assert "does not exist" in three.problem and "no frontal" in four.problem


def test_a_csv_manifest_of_other_columns_is_refused(tmp_path):
    manifest = tmp_path / "m.csv"
    manifest.write_text("id,ct\na,b\n")
    with pytest.raises(AxonInputError, match="at least id and frontal"):
        found_in(manifest, tmp_path)


def test_a_source_without_x_rays_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(AxonInputError, match="contains no X-ray"):
        found_in(tmp_path / "empty", tmp_path)
    with pytest.raises(AxonInputError, match="does not exist"):
        found_in(tmp_path / "gone", tmp_path)
