"""The shipped cases in Slicer's Sample Data module: registration, integrity, loading."""

import hashlib
import urllib.parse
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT / "axon_backend" / "demo_data"
NAMES = ["AXONChestXray", "AXONTestPatient", "AXONRegistration"]


@pytest.fixture
def samples(axon, slicer):
    from AXONReconstructionLib.console import sample_data

    slicer.modules.__dict__.pop("sampleDataSources", None)
    sample_data.register()
    return sample_data


@pytest.fixture
def sources(samples, slicer):
    return {source.sampleName: source for source in slicer.modules.sampleDataSources["AXON"]}


def test_both_cases_are_offered_once(samples, slicer):
    samples.register()
    names = [source.sampleName for source in slicer.modules.sampleDataSources["AXON"]]
    assert names == NAMES


def test_samples_are_registered_at_startup(axon, slicer):
    slicer.modules.__dict__.pop("sampleDataSources", None)
    slicer.app.startupCompleted.emit()
    assert [s.sampleName for s in slicer.modules.sampleDataSources["AXON"]] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_files_are_local_and_as_shipped(name, sources):
    source = sources[name]
    assert len(source.uris) == len(source.nodeNames) == len(source.checksums)
    for uri, file, checksum in zip(source.uris, source.fileNames, source.checksums, strict=True):
        parts = urllib.parse.urlparse(uri)
        assert parts.scheme == "file"
        path = Path(urllib.parse.unquote(parts.path))
        assert path == DATA / file
        assert checksum == f"SHA256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


@pytest.mark.parametrize("name", NAMES)
def test_thumbnails_have_the_size_of_slicers_own(name, sources):
    with Image.open(sources[name].thumbnailFileName) as thumbnail:
        assert thumbnail.size == (260, 280)
        assert np.asarray(thumbnail.convert("L")).std() > 30


def test_every_shipped_file_is_offered(samples):
    offered = {file.name for sample in samples.SAMPLES for file in sample.files}
    assert offered == {path.name for path in DATA.iterdir() if path.suffix != ".md"}


def test_button_loads_the_clinical_xray_as_an_axon_xray(sources, slicer):
    sources["AXONChestXray"].customDownloader(sources["AXONChestXray"])
    node = slicer.util.getNode("AXON chest X-ray")
    assert node.GetAttribute("AXON.View") == "pa"
    assert node.GetImageData().GetDimensions().count(1) == 1
    # Upright: the image plane is coronal.
    low, high = np.reshape(_bounds(node), (3, 2)).T
    assert np.argmin(high - low) == 1


def test_what_was_loaded_is_shown(sources, slicer):
    def background(view):
        return slicer.mrmlScene.GetSingletonNode(
            view, "vtkMRMLSliceCompositeNode"
        ).GetBackgroundVolumeID()

    sources["AXONChestXray"].customDownloader(sources["AXONChestXray"])
    assert background("Green") == slicer.util.getNode("AXON chest X-ray").GetID()
    sources["AXONTestPatient"].customDownloader(sources["AXONTestPatient"])
    ct = slicer.util.getNode("AXON test patient CT").GetID()
    assert [background(view) for view in ("Red", "Green", "Yellow")] == [ct, ct, ct]


def _bounds(node):
    bounds = [0.0] * 6
    node.GetRASBounds(bounds)
    return bounds


def test_the_test_patient_has_a_ct_and_two_views(samples):
    ct, frontal, lateral = samples.load("AXONTestPatient")
    assert ct.GetSpacing() == pytest.approx((2, 2, 2))
    assert frontal.GetAttribute("AXON.View") == "pa"
    assert lateral.GetAttribute("AXON.View") == "ll"
    assert frontal.GetAttribute("AXON.PixelSizeKnown") in ("1", "true", "True")


def test_slicers_reader_is_used_while_packages_are_missing(host, samples):
    with host.without("monai"):
        ct, frontal, lateral = samples.load("AXONTestPatient")
    assert ct.GetImageData().GetDimensions() == (158, 150, 153)
    assert sorted(frontal.GetImageData().GetDimensions()) == [1, 512, 517]
    assert frontal.GetAttribute("AXON.View") is None
    assert lateral.GetName().startswith("AXON test patient lateral")


def test_slicers_download_function_loads_them_too(samples, slicer):
    import SampleData

    nodes = SampleData.SampleDataLogic().downloadSamples("AXONTestPatient")
    assert [node.GetName() for node in nodes] == [f.nodeName for f in samples.SAMPLES[1].files]


def test_a_damaged_file_is_not_loaded(samples, slicer, tmp_path, monkeypatch):
    for file in samples.SAMPLES[0].files:
        (tmp_path / file.name).write_bytes((DATA / file.name).read_bytes()[:-1])
    monkeypatch.setattr(samples, "_folder", lambda: tmp_path)
    with pytest.raises(RuntimeError, match=r"xray_pa\.jpg is missing or damaged"):
        samples.load("AXONChestXray")
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0


def test_a_failure_of_the_button_is_shown_in_a_dialog(host, sources, samples, monkeypatch):
    monkeypatch.setattr(samples, "_folder", lambda: None)
    with pytest.raises(RuntimeError):  # after showing the dialog
        sources["AXONChestXray"].customDownloader(sources["AXONChestXray"])
    assert "missing or damaged" in str(host.dialogs)
