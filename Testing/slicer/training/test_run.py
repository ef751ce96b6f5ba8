"""A real training run with tiny networks: start, monitor, stop, kill, resume."""

import importlib
import importlib.util
import json
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.slow


def tiny_module():
    """Data and settings of the training tests."""
    path = ROOT / "Testing" / "training" / "training_tiny.py"
    spec = importlib.util.spec_from_file_location("training_tiny_of_slicer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A JSON list of three synthetic chests."""
    return tiny_module().write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def training(host, data, tmp_path):
    """The module, configured for a tiny training; kills a remaining process."""
    path = ROOT / "AXONTraining" / "AXONTraining.py"
    module, widget = host.load_module(path)
    node = widget.panel.parameterNode
    node.dataPath, node.runPath = str(data), str(tmp_path / "runs" / "encoder")
    node.stage, node.amount, node.unit, node.device = "encoder", 400, "steps", "cpu"
    values = tiny_module().TINY | {"batch": 1, "micro_batch": 1}
    values["data"] = {"cache": 4, "workers": 0, "cache_folder": str(tmp_path / "pairs")}
    values["validation"] = {"every_steps": 8, "cases": 1, "samples": 1}
    node.extra = "\n".join(tiny_module().setting_lines(values))
    yield widget
    if widget.panel is not None and node.runPath:
        widget.logic.terminate(node.runPath)
    host.unload_module(path.stem)


def wait(host, widget, condition, seconds=150):
    def done():
        widget.panel.poll()
        time.sleep(0.1)
        return condition()

    assert host.wait_until(done, seconds), (
        widget.ui.statusLabel.text,
        widget.ui.messageLabel.text,
        widget.panel.boxes["run"].watch.explanation(),
    )


def test_start_monitor_stop_kill_and_resume(host, slicer, training, tmp_path):
    widget, ui = training, training.ui
    watch = lambda: widget.panel.boxes["run"].watch  # noqa: E731
    ui.runSection.collapsed = False
    host.click(ui.startButton)
    assert ui.statusLabel.text.startswith("Starting") and not ui.startButton.enabled
    wait(host, widget, lambda: watch().step >= 9 and watch().sample is not None)
    assert ui.statusLabel.text == "Training." and ui.stopButton.enabled
    assert watch().metrics and widget.panel.parameterNode.lossTable is not None
    assert widget.panel.parameterNode.sampleVolume is not None
    if folder := os.environ.get("AXON_SCREENSHOTS"):
        for name in ("data", "training"):
            getattr(ui, f"{name}Section").collapsed = True
        host.screenshot(widget, f"{folder}/slicer_training.png", width=400)
    host.click(ui.curvesButton)
    assert slicer.util.getNodesByClass("vtkMRMLPlotChartNode")

    # A second run in the same folder is refused.
    with pytest.raises(Exception, match="A run is active in"):
        widget.logic.start(widget.panel.parameterNode.dataPath, watch().path, stage="encoder")

    host.click(ui.stopButton)
    assert ui.stopButton.text == "Kill"
    wait(host, widget, lambda: watch().status == "stopped")
    stopped = watch().step
    assert ui.resumeButton.enabled and (Path(watch().path) / "checkpoints" / "last.pt").is_file()

    host.click(ui.resumeButton)
    wait(host, widget, lambda: watch().step > stopped)
    widget.logic.terminate(watch().path)
    wait(host, widget, lambda: watch().status == "died", 20)
    assert "Stopped unexpectedly" in ui.statusLabel.text and ui.resumeButton.enabled


def test_errors_of_the_training_process_are_reported(host, training):
    widget, ui = training, training.ui
    ui.runSection.collapsed = False
    widget.panel.parameterNode.extra = "optimizer.rate=1"
    host.click(ui.startButton)
    wait(host, widget, lambda: ui.messageFrame.visible, 90)
    assert "optimiser" in ui.messageLabel.text
    assert ui.startButton.enabled


@pytest.fixture
def toy(host, phantom_ct_file, monkeypatch, tmp_path):
    """Both modules, with the toy method installed and set up to be trained on three phantoms."""
    folder = ROOT / "Testing" / "methods"
    monkeypatch.syspath_prepend(str(folder))
    site = tmp_path / "site"
    site.mkdir()
    importlib.import_module("toy_package").install(site)
    monkeypatch.syspath_prepend(str(site))
    before = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(p for p in (str(site), before) if p))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("AXON_HOME", str(tmp_path / "home"))
    sys.modules.pop("toy_method", None)
    for name in "abc":
        shutil.copy(phantom_ct_file, tmp_path / f"{name}.nii.gz")
    listing = {"train": ["a.nii.gz", "b.nii.gz"], "validation": ["c.nii.gz"]}
    (tmp_path / "data.json").write_text(json.dumps(listing))
    reconstruction = host.load_module(ROOT / "AXONReconstruction" / "AXONReconstruction.py")[1]
    widget = host.load_module(ROOT / "AXONTraining" / "AXONTraining.py")[1]
    node = widget.panel.parameterNode
    node.dataPath, node.runPath = str(tmp_path / "data.json"), str(tmp_path / "runs" / "depths")
    node.method, node.amount, node.unit, node.device = "toy", 1_000_000, "steps", "cpu"
    node.extra = "data.cache=4\ndata.workers=0\nlog_steps=1000000\nvalidation.every_minutes=60"
    yield widget, reconstruction
    widget.logic.terminate(node.runPath)
    for name in ("AXONTraining", "AXONReconstruction"):
        host.unload_module(name)
    sys.modules.pop("toy_method", None)


def train_export_and_open(host, slicer, toy, xray, folder):
    """Sections Run and Model by clicks: start, stop, export, open, reconstruct."""
    widget, reconstruction = toy
    ui = widget.ui
    ui.runSection.collapsed = ui.modelSection.collapsed = False
    ui.exportPathEdit.currentPath = str(folder / "My chests")
    assert not ui.exportButton.enabled and "no weights yet" in ui.exportButton.toolTip
    host.click(ui.startButton)
    # Trainings run at a low priority: on a busy computer the first step takes its time.
    # There is news before the first row of metrics.csv, which is a million steps away.
    wait(host, widget, lambda: "Step " in ui.numbersLabel.text, 1800)
    assert "steps/s" in ui.numbersLabel.text and " left" in ui.numbersLabel.text
    assert "Not validated yet." in ui.numbersLabel.text
    host.click(ui.stopButton)
    wait(host, widget, lambda: ui.statusLabel.text.startswith("Stopped."))
    wait(host, widget, lambda: ui.exportButton.enabled, 10)
    assert ui.exportButton.text == "Export model (not validated yet)"
    host.click(ui.exportButton)
    wait(host, widget, lambda: "was exported to" in ui.exportLabel.text, 90)
    assert "before its first validation" in ui.exportLabel.text

    host.click(ui.openButton)
    assert slicer.util.selectedModule() == "AXONReconstruction"
    section = reconstruction.panel.sections["reconstructSection"]
    assert not reconstruction.panel.container("reconstructSection").collapsed
    assert section.ui.bundleCombo.currentText == "My chests 0.1.0 (Toy method)"
    node = reconstruction.panel.parameterNode
    node.device, node.registerAutomatically = "cpu", False
    node.frontal = reconstruction.logic.loadRadiograph(xray, view="pa")
    host.click(section.ui.reconstructButton)
    assert host.wait_until(lambda: section.state == "idle", 60)
    record = json.loads(node.record)
    assert (record["method"], record["bundle"]["name"]) == ("toy", "My chests")


def test_a_run_stopped_before_its_first_validation_becomes_a_model(
    host, slicer, toy, phantom_xray_file, tmp_path
):
    train_export_and_open(host, slicer, toy, phantom_xray_file, tmp_path)


def test_the_training_tutorial_by_clicks(host, slicer, toy, phantom_xray_file, tmp_path):
    """The four steps of Resources/Docs/training.md, each with its real process: a folder of CTs
    becomes a data set, the data set a model, and the model a volume."""
    import nibabel

    from axon_backend.cli.demo import DATA

    widget, ui, node = toy[0], toy[0].ui, toy[0].panel.parameterNode
    source, prepared = tmp_path / "scans", tmp_path / "data"
    source.mkdir()
    shipped = nibabel.load(DATA / "ct_lidc0306.nii.gz")
    for shift, name in enumerate("abc"):  # no two patients may be the same
        hu = np.roll(np.asarray(shipped.dataobj), shift, axis=0)
        nibabel.save(nibabel.Nifti1Image(hu, shipped.affine), source / f"{name}_ct.nii.gz")

    ui.prepareBox.collapsed = False
    ui.sourcePathEdit.currentPath, ui.preparedPathEdit.currentPath = str(source), str(prepared)
    host.click(ui.prepareButton)
    assert ui.prepareButton.text == "Stop"
    wait(host, widget, lambda: ui.prepareLabel.text == "0 of 3 patients prepared", 300)
    host.click(ui.prepareButton)
    wait(host, widget, lambda: ui.prepareLabel.text == "Stopped. Click Prepare to resume.", 60)
    host.click(ui.prepareButton)
    wait(host, widget, lambda: ui.prepareLabel.text.startswith("Done. Review "), 900)
    assert (prepared / "report.html").is_file() and ui.dataPathEdit.currentPath == str(prepared)
    host.click(ui.checkButton)
    assert ui.dataLabel.text.startswith("Training: 1 patient"), ui.dataLabel.text

    ui.methodCombo.setCurrentIndex(ui.methodCombo.findText("Toy method"))
    assert node.method == "toy"
    ui.unitCombo.setCurrentIndex(ui.unitCombo.findData("minutes"))
    ui.amountSpin.value = 60
    # The pairs of the prepared data are large: draw few of them, of the CTs as they are.
    few = "data.cache=1\ndata.deformed=false\nvalidation.cases=1"
    ui.extraEdit.plainText = node.extra.replace("data.cache=4", few)
    ui.runPathEdit.currentPath = str(tmp_path / "runs" / "by clicks")
    train_export_and_open(host, slicer, toy, phantom_xray_file, tmp_path)


def test_the_modules_own_test_passes(host, slicer, training):
    slicer.selfTests["AXONTraining"]()
