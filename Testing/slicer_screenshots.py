"""All screenshots of the documentation's tutorial, made in 3D Slicer itself.

    Slicer --no-splash --additional-module-paths AXONReconstruction AXONTraining \
        --python-script Testing/slicer_screenshots.py FOLDER

Plays the tutorial by clicks with the sample case, saves an image of the main window after each
step, and exits: 0 on success, 1 on failure, and 77 if packages are missing. It needs a display.
The images have the names of those in `Resources/Screenshots` that the test host renders; beside
the four of the tutorial there is one each of the rerun, of the samples, and of AXON Training, which
watches the first steps of a training on the CT that ships with AXON.
"""

import json
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

import qt
import slicer

DONE, WRONG, SKIPPED = 0, 1, 77
WIDTH, HEIGHT, PANEL_PIXELS = 1400, 950, 430
LONGEST_SECONDS = 1800
TRAINING = ["data.cache=4"]  # settings of the training


class Tutorial:
    """The actions of a reader of the tutorial.

    Args:
        folder: where the images go.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        slicer.util.selectModule("AXONReconstruction")
        self.panel = slicer.modules.AXONReconstructionWidget.panel
        self.ui = self.panel.ui

    @property
    def node(self):
        """The parameter node."""
        return self.panel.parameterNode

    def open(self, step: str) -> None:
        """Open one section and fold the others."""
        for name in self.panel.sections:
            self.panel.container(name).collapsed = name != step
        self.settle()

    def click(self, button) -> None:
        """Click a button and wait for what it starts."""
        if not button.enabled:
            raise AssertionError(f"{button.objectName} is disabled: {button.toolTip}")
        button.click()
        self.settle()

    def choose(self, combo, value) -> None:
        """Choose an entry of a combo box, as the user does."""
        index = combo.findData(value)
        if index < 0:
            raise AssertionError(f"{combo.objectName} has no entry {value}")
        combo.setCurrentIndex(index)
        combo.activated(index)
        self.settle()

    def settle(self) -> None:
        """Wait until nothing is computed; a message of the panel is an error."""
        until = time.monotonic() + LONGEST_SECONDS
        placement = self.panel.sections["registerSection"].placement
        quiet = 0
        while quiet < 5:
            slicer.app.processEvents()
            time.sleep(0.05)
            settling = placement._settleTimer.active  # a change is not yet an undo step
            busy = self.panel.logic.busy or self.panel.isBusy or settling
            quiet = 0 if busy else quiet + 1
            if time.monotonic() > until:
                raise TimeoutError("the computation did not end")
        if self.ui.messageFrame.visible:
            raise AssertionError(self.ui.messageLabel.text)

    def save(self, name: str) -> None:
        """Save an image of the main window."""
        slicer.util.forceRenderAllViews()
        slicer.app.processEvents()
        slicer.util.mainWindow().grab().save(str(self._folder / name))
        print(f"saved {self._folder / name}")


def play(tutorial: Tutorial) -> None:
    """The tutorial, step by step."""
    from AXONReconstructionLib.console import sample_data

    ui = tutorial.ui
    ct, frontal, lateral = sample_data.load("AXONTestPatient")
    tutorial.open("inputsSection")
    for selector, node in (
        (ui.frontalSelector, frontal),
        (ui.lateralSelector, lateral),
        (ui.groundTruthSelector, ct),
    ):
        selector.setCurrentNode(node)
    tutorial.settle()
    tutorial.save("slicer_inputs.png")

    tutorial.open("registerSection")
    for radio in (ui.lateralRadio, ui.frontalRadio):
        radio.checked = True
        tutorial.settle()
        tutorial.click(ui.registerButton)
        tutorial.click(ui.acceptButton)
    ui.overlayModeBox.currentIndex = ui.overlayModeBox.findData("checkerboard")
    tutorial.settle()
    tutorial.save("slicer_register.png")
    ui.overlayModeBox.currentIndex = ui.overlayModeBox.findData("blend")

    tutorial.open("reconstructSection")
    tutorial.click(ui.reconstructButton)
    tutorial.save("slicer_reconstruct.png")

    tutorial.open("compareSection")
    tutorial.click(ui.showButton)
    tutorial.choose(ui.slicesCombo, "difference")
    tutorial.save("slicer_compare.png")

    tutorial.node.lateral = None
    tutorial.node.samples = 2
    tutorial.open("reconstructSection")
    tutorial.click(ui.reconstructButton)
    tutorial.open("compareSection")
    tutorial.choose(ui.otherCombo, ui.otherCombo.itemData(ui.otherCombo.count - 1))
    tutorial.save("slicer_two_results.png")
    tutorial.choose(ui.slicesCombo, "deviation")
    tutorial.save("slicer_samples.png")


def train(tutorial: Tutorial) -> None:
    """AXON Training: a run at its first steps, which is killed after the image."""
    from AXONReconstructionLib.setup import backend

    slicer.util.selectModule("AXONTraining")
    panel = slicer.modules.AXONTrainingWidget.panel
    widgets = panel.ui
    shipped = Path(backend.load().__file__).parent / "demo_data" / "ct_lidc0306.nii.gz"
    with tempfile.TemporaryDirectory() as scratch:
        data, run = Path(scratch) / "data.json", Path(scratch) / "runs" / "coarse"
        shutil.copy(shipped, Path(scratch) / "twin.nii.gz")  # a patient may be in one split only
        data.write_text(json.dumps({"train": [str(shipped)], "validation": ["twin.nii.gz"]}))
        node = panel.parameterNode
        node.dataPath, node.runPath, node.extra = str(data), str(run), "\n".join(TRAINING)
        slicer.app.processEvents()
        widgets.startButton.click()
        watch, until = panel.boxes["run"].watch, time.monotonic() + LONGEST_SECONDS
        try:
            while watch.step < 2:
                slicer.app.processEvents()
                time.sleep(0.05)
                if not watch.active or time.monotonic() > until:
                    raise AssertionError(watch.explanation())
            for name in ("dataSection", "trainingSection"):
                getattr(widgets, name).collapsed = True
            tutorial.save("slicer_training.png")
        finally:
            panel.logic.terminate(run)


def main(folder: Path) -> int:
    """Make all images; returns the exit code."""
    from AXONReconstructionLib.setup import backend

    missing = backend.available()
    if missing is not None:
        print(f"skipped: {missing}")
        return SKIPPED
    window = slicer.util.mainWindow()
    window.resize(WIDTH, HEIGHT)
    dock = slicer.util.findChild(window, "PanelDockWidget")
    dock.setMinimumWidth(PANEL_PIXELS)
    try:
        tutorial = Tutorial(folder)
        play(tutorial)
        train(tutorial)
    except Exception:
        traceback.print_exc()
        return WRONG
    return DONE


if __name__ == "__main__":
    arguments = sys.argv[1:]
    qt.QTimer.singleShot(
        0, lambda: slicer.util.exit(main(Path(arguments[-1] if arguments else "screenshots")))
    )
