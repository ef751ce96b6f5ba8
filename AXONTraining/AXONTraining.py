"""AXON Training: train the networks of AXON on your own patients. Research use only."""

import sys

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

from AXONTrainingLib.logic import AXONTrainingLogic


class AXONTraining(ScriptedLoadableModule):
    """Metadata of the module, as shown by Slicer."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("AXON Training")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Tomographic Reconstruction")]
        # The Lib of AXON Reconstruction, installed next to this module, is found by its path.
        parent.dependencies = ["Plots", "Tables", "Volumes"]
        parent.contributors = ["AXON contributors"]
        parent.helpText = _(
            "Trains the networks of AXON Reconstruction on your own CTs and X-rays: <b>Data</b> "
            "prepares and checks a data set, <b>Training</b> configures the training, <b>Run</b> "
            "starts, monitors, stops and resumes a run, and <b>Model</b> exports the result as a "
            "model for AXON Reconstruction. Training runs in a separate process and continues "
            "when Slicer is closed."
            "<p>See {start}training in 3D Slicer{end}.</p>"
            "<p><b>Research use only, not for diagnosis.</b></p>"
        ).format(
            start='<a href="https://github.com/axon-ct/SlicerAXON/blob/main/Resources/Docs/'
            'training.md#training-in-3d-slicer">',
            end="</a>",
        )
        parent.acknowledgementText = _(
            "If you use AXON, please cite the method: M. Rath, M. Ghahremani, Y. Li, A. Taghipour, "
            "M. Makowski, C. Wachinger: Conditional Diffusion for 3D CT Volume Reconstruction from "
            "2D X-rays. {link} (2026). AXON is an independent open implementation of it."
        ).format(link='<a href="https://arxiv.org/abs/2603.26509">arXiv:2603.26509</a>')


class AXONTrainingWidget(ScriptedLoadableModuleWidget):
    """Module widget; its contents are implemented in `AXONTrainingLib.panel`.

    Attributes:
        logic: the module's logic.
        panel: the `Panel`, None before setup and after cleanup.
        ui: all named widgets of the panel.
    """

    def __init__(self, parent=None):
        self.logic = self.panel = self.ui = None
        ScriptedLoadableModuleWidget.__init__(self, parent)

    def setup(self):
        """Build the panel when the module is first shown."""
        from AXONTrainingLib.panel import Panel

        ScriptedLoadableModuleWidget.setup(self)
        self.logic = AXONTrainingLogic()
        self.panel = Panel(
            self.layout, self.resourcePath, self.logic, lambda: self.parent.isEntered
        )
        self.ui = self.panel.ui

    def enter(self):
        """Called when the user opens this module."""
        if self.panel is not None:
            self.panel.enter()

    def exit(self):
        """Called when the user switches to another module; the run is still monitored."""
        if self.panel is not None:
            self.panel.exit()

    def cleanup(self):
        """Called before the widget is destroyed or reloaded; training continues."""
        if self.panel is not None:
            self.panel.cleanup()
            self.panel = None

    def onReload(self):
        """Reload the module and its Lib (developer mode); `axon_backend` requires a restart."""
        package = "AXONTrainingLib"
        for name in [n for n in sys.modules if n == package or n.startswith(package + ".")]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)


class AXONTrainingTest(ScriptedLoadableModuleTest):
    """A few steps of training on the CT that ships with AXON, monitored and stopped."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_startWatchAndStop()

    def test_startWatchAndStop(self):
        import json
        import shutil
        import tempfile
        import time
        from pathlib import Path

        from AXONReconstructionLib.setup import backend

        logic = AXONTrainingLogic()
        missing = logic.missing()
        if missing is not None:
            self.delayDisplay(_("Skipped: {reason}").format(reason=missing))
            return
        with tempfile.TemporaryDirectory() as folder:
            package = Path(str(backend.load().__file__)).parent
            shipped = package / "demo_data" / "ct_lidc0306.nii.gz"
            shutil.copy(shipped, Path(folder) / "twin.nii.gz")  # a patient may be in one split only
            data = Path(folder) / "data.json"
            data.write_text(json.dumps({"train": [str(shipped)], "validation": ["twin.nii.gz"]}))
            assert logic.checkDataset(data).cases["train"] == 1
            self.delayDisplay(_("Training"))
            run = logic.start(data, Path(folder) / "run", minutes=30, extra=["data.cache=4"])
            watch, until = logic.watch(run), time.monotonic() + 300
            while watch.step < 1 and watch.status in watch.ACTIVE and time.monotonic() < until:
                slicer.app.processEvents()
                time.sleep(0.2)
                watch.poll()
            assert watch.step >= 1, watch.explanation()
            logic.stop(run)
            while watch.status in watch.ACTIVE and time.monotonic() < until:
                slicer.app.processEvents()
                time.sleep(0.2)
                watch.poll()
            assert watch.status == "stopped", watch.explanation()
        self.delayDisplay(_("Test passed"))
