"""Saving a result: voxels and geometry, research notice, no overwriting."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

RECORD = {
    "seed": 3,
    "bundle": {"name": "test", "version": "1", "sha256": "abc123" * 10},
    "inputs": [{"role": "frontal", "path": "/secret/place/chest.dcm"}],
    "metrics": {"coarse": {"mae": 0.1, "psnr": 17.0}, "sr": {"mae": 0.05, "psnr": 18.5}},
    "atlas_mean": {"mae": 0.2, "psnr": 15.0},
    "hu_window": [-1000.0, 900.0],
}


@pytest.fixture
def lib(slicer, module_path):
    """The saving module, and the result class."""
    from AXONReconstructionLib.console import saving
    from AXONReconstructionLib.scene import results

    saving.backend.available()
    return saving, results.ReconstructionResult


@pytest.fixture
def ijk_to_lps():
    """Rotated by 20 degrees about z, with three different spacings."""
    c, s = np.cos(np.radians(20)), np.sin(np.radians(20))
    turned = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) * (2.0, 3.0, 4.0)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turned, (-30.0, 12.5, 700.0)
    return matrix


@pytest.fixture
def result(slicer, lib, ijk_to_lps):
    """Two stages of an asymmetric volume [z, y, x], and the ground truth."""
    rng = np.random.default_rng(4)
    to_ras = np.diag([-1.0, -1.0, 1.0, 1.0])

    def node(name, hu, matrix):
        return slicer.util.addVolumeFromArray(hu, to_ras @ matrix, name)

    fine = rng.integers(-1000, 900, (5, 6, 7)).astype(np.float32)
    return lib[1](
        volumes={
            "coarse": node("coarse", fine[::2, ::2, ::2].copy(), ijk_to_lps),
            "sr": node("sr", fine, ijk_to_lps),
        },
        truth=node("truth", fine + 10, ijk_to_lps),
        record=dict(RECORD),
    )


def voxels(slicer, node):
    return slicer.util.arrayFromVolume(node)


@pytest.mark.parametrize("ending", ["nii.gz", "nrrd"])
def test_volumes_round_trip_voxel_for_voxel(slicer, lib, result, ijk_to_lps, tmp_path, ending):
    import SimpleITK as sitk

    files = lib[0].save(result, tmp_path / "case", ending)
    names = {f.name for f in files}
    assert {f"1-coarse.{ending}", f"3-sr.{ending}", f"ground-truth.{ending}"} <= names
    image = sitk.ReadImage(str(tmp_path / "case" / f"3-sr.{ending}"))
    assert np.array_equal(sitk.GetArrayFromImage(image), voxels(slicer, result.volumes["sr"]))
    for index in ((0, 0, 0), (6, 5, 4), (3, 0, 2)):
        place = (ijk_to_lps @ [*index, 1.0])[:3]
        assert np.allclose(image.TransformIndexToPhysicalPoint(index), place, atol=1e-3)
    notes = " ".join(image.GetMetaData(key) for key in image.GetMetaDataKeys())
    assert "research use only" in notes


def test_a_dicom_series_is_marked_derived_and_research_only(
    slicer, lib, result, ijk_to_lps, tmp_path
):
    import pydicom

    lib[0].save(result, tmp_path / "case", "dicom")
    series = tmp_path / "case" / "3-sr"
    slices = [pydicom.dcmread(f) for f in sorted(series.iterdir())]
    assert len(slices) == 5
    for found in slices:
        assert list(found.ImageType[:2]) == ["DERIVED", "SECONDARY"]
        assert "research use only" in found.SeriesDescription + found.ImageComments
        assert "frontal chest X-ray" in found.DerivationDescription
        assert "chest.dcm" not in str(found)  # a file name may contain the patient's name
    by_height = sorted(slices, key=lambda s: float(s.ImagePositionPatient[2]))
    first = by_height[0]
    hu = first.pixel_array * float(first.RescaleSlope) + float(first.RescaleIntercept)
    assert np.array_equal(hu, voxels(slicer, result.volumes["sr"])[0])
    assert np.allclose([float(v) for v in first.ImagePositionPatient], ijk_to_lps[:3, 3], atol=1e-3)
    other = pydicom.dcmread(next((tmp_path / "case" / "ground-truth").iterdir()))
    assert other.StudyInstanceUID == first.StudyInstanceUID
    assert other.SeriesInstanceUID != first.SeriesInstanceUID
    assert other.FrameOfReferenceUID == first.FrameOfReferenceUID
    assert "secret" not in str(first)  # paths are private


def test_record_and_metrics_are_saved_with_the_notice(lib, result, tmp_path):
    lib[0].save(result, tmp_path / "case")
    record = json.loads((tmp_path / "case" / "result.json").read_text())
    assert "not for diagnosis" in record["disclaimer"]
    assert {key: record[key] for key in RECORD} == RECORD
    lines = (tmp_path / "case" / "metrics.csv").read_text().splitlines()
    assert "not for diagnosis" in lines[0]
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert [row["stage"] for row in rows] == ["coarse", "sr", "atlas_mean"]
    assert float(rows[1]["psnr"]) == 18.5
    assert "not for diagnosis" in (tmp_path / "case" / "READ ME FIRST.txt").read_text()


def test_without_ground_truth_there_are_no_metrics(lib, result, tmp_path):
    result.record = {k: v for k, v in RECORD.items() if k != "metrics"}
    files = lib[0].save(result, tmp_path / "case")
    assert "metrics.csv" not in {f.name for f in files}


def test_nothing_is_overwritten(lib, result, tmp_path):
    folder = tmp_path / "case"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not empty"):
        lib[0].save(result, folder)
    assert [f.name for f in tmp_path.rglob("*")] == ["case", "mine.txt"]
    assert lib[0].freeFolder(tmp_path, "case") == tmp_path / "case-2"
    assert lib[0].freeFolder(tmp_path, "a: b/c") == tmp_path / "a-b-c"


def test_what_cannot_be_saved_is_reported(lib, result, tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        lib[0].save(result, tmp_path / "no" / "case")
    with pytest.raises(ValueError, match="Unknown format 'jpeg'"):
        lib[0].save(result, tmp_path / "case", "jpeg")
    with pytest.raises(ValueError, match="no reconstruction to save"):
        lib[0].save(lib[1](volumes={}), tmp_path / "case")
    assert not list(tmp_path.iterdir())


def test_cancelling_leaves_no_files(lib, result, tmp_path):
    from axon_backend.errors import Cancelled

    reports = []
    with pytest.raises(Cancelled):
        lib[0].write(
            lib[0].copyOf(result),
            tmp_path / "case",
            progress=lambda done, total: reports.append((done, total)),
            cancelled=lambda: len(reports) == 2,
        )
    assert reports == [(0, 3), (1, 3)]
    assert not list(tmp_path.iterdir())


def test_saving_by_clicks(host, slicer, axon, result, tmp_path):
    panel = axon[1].panel
    panel.container("compareSection").collapsed = False
    ui = panel.sections["compareSection"].ui
    node = panel.parameterNode
    node.volumes = result.volumes
    node.truthVolume, node.record = result.truth, json.dumps(RECORD)
    ui.folderEdit.currentPath = ""
    assert not ui.saveButton.enabled and ui.saveButton.toolTip == "Choose a folder first."
    ui.folderEdit.currentPath = str(tmp_path)
    host.click(ui.saveButton)
    assert host.wait_until(lambda: " files to " in ui.savedLabel.text, 30)
    host.click(ui.saveButton)  # within the same second: a different name
    assert host.wait_until(lambda: len(list(tmp_path.glob("AXON-*"))) == 2, 30)
    assert host.wait_until(lambda: ui.saveButton.text == "Save", 30)
    for folder in tmp_path.glob("AXON-*"):
        assert (folder / "result.json").is_file() and (folder / "3-sr.nii.gz").is_file()
    ui.folderEdit.currentPath = str(tmp_path / "gone")
    host.click(ui.saveButton)
    assert host.wait_until(lambda: panel.ui.messageFrame.visible, 30)
    assert "does not exist" in panel.ui.messageLabel.text
    assert ui.saveButton.text == "Save" and not ui.savedLabel.visible


def test_dicom_into_slicers_database(host, slicer, compared, monkeypatch):
    """The database itself is Slicer's; here is what it is given, and when. Its names, arguments and
    answers are those of DICOMUtils.py on Slicer's main branch and of CTK's ctkDICOMDatabase.h."""
    import sys
    from types import ModuleType, SimpleNamespace

    import pydicom

    ui, given, stored = compared.ui, [], {}
    ui.formatCombo.setCurrentIndex(ui.formatCombo.findData("database"))
    assert not ui.saveButton.enabled and "Open the module DICOM" in ui.saveButton.toolTip
    library = ModuleType("DICOMLib")

    def importDicom(folder, dicomDatabase=None, copyFiles=False):
        files = sorted(Path(folder).rglob("*.dcm"))
        slices = [pydicom.dcmread(f) for f in files]
        given.append((Path(folder), copyFiles, {s.Modality for s in slices}))
        for number, s in enumerate(slices):
            if number < room:
                stored.setdefault(s.SeriesInstanceUID, []).append(f"stored/{number}.dcm")
        return True  # as Slicer's also does when files could not be stored

    library.DICOMUtils = SimpleNamespace(importDicom=importDicom)
    monkeypatch.setitem(sys.modules, "DICOMLib", library)
    database = SimpleNamespace(
        isOpen=True, filesForSeries=lambda uid, hits=-1: tuple(stored.get(uid, ()))
    )
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    compared.panel.sections["compareSection"].saveBox.update()
    room = 40  # slices
    host.click(ui.saveButton)
    assert host.wait_until(lambda: compared.panel.ui.messageFrame.visible, 60)
    assert "could not import the series" in compared.panel.ui.messageLabel.text
    given.clear(), stored.clear()
    room = 10**6
    host.click(ui.saveButton)
    assert host.wait_until(lambda: "DICOM database" in ui.savedLabel.text, 60)
    ((folder, copied, modalities),) = given
    assert copied and modalities == {"CT"} and not folder.exists()
