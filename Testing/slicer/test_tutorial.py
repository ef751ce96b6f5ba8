"""The tutorial of Resources/Docs/slicer.md as GUI actions, and the Python console examples.

If the environment variable AXON_SCREENSHOTS is set, the tutorial's screenshots are written to that
folder.
"""

import ast
import inspect
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

DOCS = Path(__file__).resolve().parents[2] / "Resources" / "Docs"
STEPS = ("inputsSection", "registerSection", "reconstructSection", "compareSection")
# The atlas alone reaches 15 dB on the test patients.
LEAST_PSNR_DB = 17.0
ENOUGH = 1800  # seconds; what hangs would otherwise never end


def section(heading, page="slicer.md"):
    """A section of a page of the documentation."""
    text = (DOCS / page).read_text("utf-8") + "\n## "
    found = re.search(rf"^## {heading}$(.*?)^## ", text, re.DOTALL | re.MULTILINE)
    assert found, f"{page} has no section {heading}"
    return found[1]


def console_lines(heading, page="slicer.md"):
    """The one Python block of a section."""
    (lines,) = re.findall(r"^```python\n(.*?)^```", section(heading, page), re.DOTALL | re.M)
    return lines


@pytest.fixture
def screenshots(host, axon, tmp_path):
    """Writes the screenshots; None if they are not requested."""
    folder = os.environ.get("AXON_SCREENSHOTS")
    if not folder:
        return None
    from tutorial_screenshots import Screenshots

    return Screenshots(host, axon[1], folder, tmp_path)


@pytest.fixture
def reader(host, slicer, axon):
    """The actions of a reader of the tutorial."""
    return Reader(host, slicer, axon[1].panel)


class Reader:
    def __init__(self, host, slicer, panel):
        self.host, self.slicer, self.panel = host, slicer, panel
        self.ui, self.node = panel.ui, panel.parameterNode

    def open(self, step):
        """Open one section and close the others."""
        for name in (*STEPS, "setupSection"):
            heading = self.panel.container(name)
            if heading.collapsed == (name == step):
                heading.collapsed = name != step
        self.settle()

    def settle(self):
        register = self.panel.sections["registerSection"]

        def quiet():
            settling = register.placement._settleTimer.active
            return not (self.panel.logic.busy or self.panel.isBusy or settling)

        self.host.process_events(0.1)
        assert self.host.wait_until(quiet, ENOUGH)
        self.host.process_events(0.1)
        assert not self.ui.messageFrame.visible, self.ui.messageLabel.text

    def click(self, button):
        self.host.click(button)
        self.settle()

    def choose(self, combo, value):
        index = combo.findData(value)
        assert index >= 0, value
        combo.setCurrentIndex(index)
        combo.activated.emit(index)
        self.settle()

    def shown(self, tag):
        """(background, foreground, opacity) of a slice view."""
        found = self.slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLSliceCompositeNode")
        volume = self.slicer.mrmlScene.GetNodeByID
        return (
            volume(found.GetBackgroundVolumeID() or ""),
            volume(found.GetForegroundVolumeID() or ""),
            found.GetForegroundOpacity(),
        )

    def threeD(self, tag):
        return self.slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLViewNode")


@pytest.mark.slow
def test_the_tutorial_by_clicks(reader, screenshots, tmp_path):
    inputs(reader, screenshots)
    register(reader, screenshots)
    reconstruct(reader, screenshots)
    compare(reader, screenshots)
    save(reader, tmp_path)
    anotherRun(reader, screenshots)


@pytest.mark.slow
def test_the_registration_case_by_clicks(reader):
    """The X-ray is turned by 7 degrees; Auto-register says by how much."""
    ui = reader.ui
    reader.slicer.app.startupCompleted.emit()
    sources = reader.slicer.modules.sampleDataSources["AXON"]
    sample = next(source for source in sources if source.sampleName == "AXONRegistration")
    sample.customDownloader(sample)
    ct, xray = (reader.slicer.util.getNode(name) for name in sample.nodeNames)
    reader.open("inputsSection")
    ui.frontalSelector.setCurrentNode(xray)
    ui.groundTruthSelector.setCurrentNode(ct)
    reader.open("registerSection")
    before = ui.verdictLabel.text
    reader.click(ui.registerButton)
    assert ui.verdictLabel.text == "Good registration." != before
    assert abs(ui.rotationSlider.value) == pytest.approx(7, abs=1)


@pytest.mark.slow
def test_a_folder_of_patients_by_clicks(reader, tmp_path):
    """Two X-rays of one patient, reconstructed in a process of its own."""
    # Not at the top: the host's package `slicer` imports this file too, without AXON's libraries.
    from axon_backend.cli.demo import DATA

    ui, studies = reader.ui, tmp_path / "studies"
    studies.mkdir()
    for view in ("pa", "lateral"):
        shutil.copy(DATA / f"drr_lidc0306_{view}.nrrd", studies / f"p1_{view}.nrrd")
    reader.panel.container("batchSection").collapsed = False
    ui.batchSourceEdit.currentPath = str(studies)
    ui.batchOutputEdit.currentPath = str(tmp_path / "volumes")
    reader.host.click(ui.batchButton)
    assert reader.host.wait_until(lambda: "reconstructed" in ui.batchState.text, ENOUGH)
    assert ui.batchState.text.startswith("1 of 1 ") and "index.html" in ui.batchState.text
    shown = [ui.batchTable.item(0, column).text() for column in range(3)]
    assert shown == ["p1", "done", "2"]
    ui.batchTable.cellDoubleClicked.emit(0, 0)
    volume = reader.slicer.util.getNode("AXON p1")
    assert reader.shown("Red")[0] is volume and volume.GetImageData().GetDimensions()[0] == 64


def inputs(reader, screenshots):
    """Step 1: load sample data and select three inputs."""
    reader.slicer.app.startupCompleted.emit()
    sources = reader.slicer.modules.sampleDataSources["AXON"]
    sample = next(source for source in sources if source.sampleName == "AXONTestPatient")
    sample.customDownloader(sample)  # what its button in Sample Data does
    ui = reader.ui
    reader.open("inputsSection")
    ct, frontal, lateral = (reader.slicer.util.getNode(name) for name in sample.nodeNames)
    ui.frontalSelector.setCurrentNode(frontal)
    ui.lateralSelector.setCurrentNode(lateral)
    ui.groundTruthSelector.setCurrentNode(ct)
    reader.settle()
    node = reader.node
    assert (node.frontal, node.lateral, node.groundTruth) == (frontal, lateral, ct)
    assert reader.shown("Green")[0] is frontal and reader.shown("Yellow")[0] is lateral
    assert "voxels" in ui.groundTruthAssumed.text
    if screenshots:
        views = [("Green", "Coronal: frontal X-ray"), ("Yellow", "Sagittal: lateral X-ray")]
        screenshots.save(
            "slicer_inputs.png",
            [[screenshots.view(name, title, 431, 431)] for name, title in views],
        )


def register(reader, screenshots):
    """Step 2: register each X-ray, adjust the frontal one manually, accept both."""
    ui, node = reader.ui, reader.node
    reader.open("registerSection")
    assert ui.referenceLabel.text.endswith(node.groundTruth.GetName())
    for role, radio in (("lateral", ui.lateralRadio), ("frontal", ui.frontalRadio)):
        radio.checked = True
        reader.settle()
        reader.click(ui.registerButton)
        assert ui.verdictLabel.text == "Good registration."
        moved = moveByHand(reader, screenshots) if role == "frontal" else None
        reader.click(ui.acceptButton)
        assert ui.acceptedLabel.text == "Accepted: the reconstruction uses this placement."
        assert getattr(node, f"{role}Accepted")
    assert reader.shown("Green") == (node.frontal, node.frontalDrr, 0.5)
    if screenshots:
        blend = screenshots.view("Green", "Blend: X-ray and DRR", 420, 330)
        screenshots.save("slicer_register.png", [[blend], [moved]])


def moveByHand(reader, screenshots):
    """Shift by 40 mm: similarity drops, the checkerboard shows it, Undo reverts it."""
    ui = reader.ui
    overlay, screenshot = ui.overlayModeBox, None
    numbers = ui.numbersLabel.text
    ui.horizontalSlider.value = 40.0
    overlay.currentIndex = overlay.findText("Checkerboard")
    reader.settle()
    grey = [
        float(re.search(r"Intensity NCC (-?[\d.]+)", n)[1]) for n in (numbers, ui.numbersLabel.text)
    ]
    assert grey[1] < grey[0] - 0.1, grey
    if screenshots:
        screenshot = screenshots.view("Green", "Checkerboard: the X-ray shifted by 40 mm", 420, 330)
    overlay.currentIndex = overlay.findText("Blend")
    reader.click(ui.undoButton)
    assert ui.verdictLabel.text == "Good registration." and ui.numbersLabel.text == numbers
    return screenshot


def reconstruct(reader, screenshots):
    """Step 3: reconstruct; the volume is shown side by side with the ground truth."""
    ui, node = reader.ui, reader.node
    reader.open("reconstructSection")
    assert "both X-rays (placement accepted in step 2)" in ui.planLabel.text
    reader.click(ui.reconstructButton)
    assert ui.resultLabel.text.startswith("Done in")
    rows = reader.panel.sections["reconstructSection"].stages.rows
    assert rows["coarse"].state.text.startswith("done in")
    assert list(node.volumes) == ["coarse"]  # the stage that the model recommends
    assert all(rows[stage].state.text == "skipped" for stage in ("fine", "sr"))
    assert reader.threeD("AXONRecon") is not None and reader.threeD("AXONTruth") is not None
    assert all(view["accepted_by_user"] for view in json.loads(node.record)["registration"])
    if screenshots:
        screenshots.save("slicer_reconstruct.png", screen(reader, screenshots))


def compare(reader, screenshots):
    """Step 4: 3D views, slices, metrics and the X-ray check."""
    ui, node = reader.ui, reader.node
    reader.open("compareSection")
    reader.click(ui.showButton)
    assert reader.shown("Red")[:2] == (node.volumes["coarse"], node.truthVolume)
    metrics = json.loads(node.record)["metrics"]
    assert metrics["coarse"]["psnr"] > LEAST_PSNR_DB, metrics
    assert ui.metricsBox.visible and ui.metricsTable.columnCount == 2
    reader.choose(ui.slicesCombo, "xray")
    found = [float(n) for n in re.findall(r"al (-?\d\.\d\d)", ui.legendLabel.text)]
    assert len(found) == 2 and min(found) > 0.5, ui.legendLabel.text
    reader.choose(ui.slicesCombo, "difference")
    assert "Blue: less dense than the CT" in ui.legendLabel.text
    assert reader.shown("Green")[0] is node.differenceVolume
    reader.choose(ui.presetCombo, "lung")
    if screenshots:
        screenshots.save("slicer_compare.png", screen(reader, screenshots, ": difference"))


def anotherRun(reader, screenshots):
    """A run with one view; both results, and the two of them side by side."""
    ui, node = reader.ui, reader.node
    both = node.volumes["coarse"]
    reader.open("inputsSection")
    ui.lateralSelector.setCurrentNode(None)
    reader.open("reconstructSection")
    reader.click(ui.reconstructButton)
    reader.open("compareSection")
    assert [ui.resultCombo.itemText(i).split(",")[0] for i in range(2)] == ["2 views", "1 view"]
    reader.choose(ui.otherCombo, ui.otherCombo.itemData(1))
    assert reader.shown("Red")[:2] == (node.volumes["coarse"], both)
    table = ui.metricsTable
    assert [table.horizontalHeaderItem(c).text() for c in range(3)] == ["A", "B", "A with B"]
    psnr = next(r for r in range(table.rowCount) if "PSNR" in table.verticalHeaderItem(r).text())
    one, two = (float(table.item(psnr, column).text()) for column in (0, 1))
    assert one < two  # two views are better
    if screenshots:
        ui.folderEdit.currentPath = ""  # a temporary one
        screenshots.save("slicer_two_results.png", screen(reader, screenshots))


def screen(reader, screenshots, what=""):
    """The Compare layout: two 3D views with titles, and three slices below."""
    slices = (("Red", "Axial"), ("Green", "Coronal"), ("Yellow", "Sagittal"))
    return [
        [screenshots.view(reader.threeD(tag), "", 372, 372) for tag in ("AXONRecon", "AXONTruth")],
        [screenshots.view(tag, title + what, 246, 246) for tag, title in slices],
    ]


def save(reader, folder):
    """Step 5: save to a new folder."""
    ui = reader.ui
    ui.folderEdit.currentPath = str(folder)
    reader.click(ui.saveButton)
    assert re.match(r"Saved \d+ files to ", ui.savedLabel.text)
    (made,) = folder.glob("AXON-*")
    files = {path.name for path in made.iterdir()}
    assert any(name.endswith(".nii.gz") for name in files) and "result.json" in files


@pytest.mark.slow
def test_the_console_example_runs(axon, slicer, tmp_path, monkeypatch, capsys):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    names = {"slicer": slicer}
    exec(compile(console_lines("Python console"), "slicer.md", "exec"), names)
    assert names["logic"].metrics(names["result"])["coarse"]["psnr"] > LEAST_PSNR_DB
    assert "good" in capsys.readouterr().out
    assert list(tmp_path.rglob("*.nii.gz"))
    assert np.isfinite(slicer.util.arrayFromVolume(names["result"].volume)).all()


def test_the_training_example_matches_the_api(host, monkeypatch):
    """They are not run, because they start hours of training."""
    monkeypatch.syspath_prepend(DOCS.parents[1] / "AXONTraining")
    from AXONTrainingLib.logic import AXONTrainingLogic
    from AXONTrainingLib.watching import RunWatch

    lines = console_lines("Training in 3D Slicer", "training.md")
    calls = [
        node
        for node in ast.walk(ast.parse(lines))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    assert {call.func.attr for call in calls} == {"start", "watch", "poll", "stop"}
    for call in calls:
        owner = AXONTrainingLogic if call.func.value.id == "logic" else RunWatch
        signature = inspect.signature(getattr(owner, call.func.attr))
        signature.bind(None, *call.args, **{keyword.arg: None for keyword in call.keywords})
    watch = inspect.getsource(RunWatch)
    for name in re.findall(r"watch\.(\w+)(?!\w|\()", lines):
        assert hasattr(RunWatch, name) or f"self.{name}" in watch, name


def test_every_screenshot_of_the_tutorial_exists():
    shown = re.findall(r"\]\((\S+/slicer_\w+\.png)\)", section("Tutorial"))
    assert len(shown) == 5
    for name in shown:
        assert 0 < (DOCS / name).stat().st_size < 300_000


@pytest.mark.parametrize(
    ("page", "heading", "module"),
    [
        ("slicer.md", "Installing", "AXONReconstruction"),
        ("slicer.md", "Tutorial", "AXONReconstruction"),
        ("slicer.md", "Your own X-rays", "AXONReconstruction"),
        ("training.md", "Training in 3D Slicer", "AXONTraining"),
    ],
)
def test_buttons_are_named_as_in_the_panel(page, heading, module):
    """What is bold in the text and is no heading of a step ("1. **Inputs.**") is a button."""
    folder = DOCS.parents[1] / module
    files = [*folder.rglob("*.ui"), *folder.rglob("*.py")]
    panel = "".join(path.read_text("utf-8") for path in files)
    text = re.sub(r"^\d\. \*\*[^*]+\*\*", "", section(heading, page), flags=re.MULTILINE)
    buttons = re.findall(r"\*\*([^*]+)\*\*", text)
    assert buttons
    for name in buttons:
        assert name in panel, name
