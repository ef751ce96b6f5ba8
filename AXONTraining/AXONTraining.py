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
    """What Slicer shows of the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("AXON Training")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Tomographic Reconstruction")]
        # The Lib of AXON Reconstruction, which is installed beside this module, is found by path.
        parent.dependencies = ["Plots", "Tables", "Volumes"]
        parent.contributors = ["AXON contributors"]
        parent.helpText = _(
            "Trains the networks of AXON Reconstruction on your own CTs and X-rays: <b>Data</b> "
            "prepares and checks them, <b>Training</b> says what to train, <b>Run</b> starts, "
            "watches, stops and resumes it, <b>Model</b> makes a model of it for AXON "
            "Reconstruction. A training runs as a program of its own and goes on when Slicer is "
            "closed."
            "<p><b>Research use only, not for diagnosis.</b></p>"
        )
        parent.acknowledgementText = _(
            "If you use it, please cite the method: M. Rath, M. Ghahremani, Y. Li, A. Taghipour, "
            "M. Makowski, C. Wachinger: Conditional Diffusion for 3D CT Volume Reconstruction from "
            "2D X-rays. {link} (2026). AXON is an independent open implementation of it."
        ).format(link='<a href="https://arxiv.org/abs/2603.26509">arXiv:2603.26509</a>')


class AXONTrainingWidget(ScriptedLoadableModuleWidget):
    """The frame of the panel; everything in it belongs to `AXONTrainingLib.panel`.

    Attributes:
        logic: the module's logic.
        panel: the `Panel`, None before setup and after cleanup.
        ui: every named control of the panel.
    """

    def __init__(self, parent=None):
        self.logic = self.panel = self.ui = None
        ScriptedLoadableModuleWidget.__init__(self, parent)

    def setup(self):
        """Build the panel, when the module is first shown."""
        from AXONTrainingLib.panel import Panel

        ScriptedLoadableModuleWidget.setup(self)
        self.logic = AXONTrainingLogic()
        self.panel = Panel(
            self.layout, self.resourcePath, self.logic, lambda: self.parent.isEntered
        )
        self.ui = self.panel.ui

    def enter(self):
        """The user opens this module."""
        if self.panel is not None:
            self.panel.enter()

    def exit(self):
        """The user opens another module; a training goes on, and so does watching it."""
        if self.panel is not None:
            self.panel.exit()

    def cleanup(self):
        """The widget is about to be destroyed or reloaded; a training goes on."""
        if self.panel is not None:
            self.panel.cleanup()
            self.panel = None

    def onReload(self):
        """Reload the module and its Lib, for developers; `axon_backend` needs a restart."""
        package = "AXONTrainingLib"
        for name in [n for n in sys.modules if n == package or n.startswith(package + ".")]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)


class AXONTrainingTest(ScriptedLoadableModuleTest):
    """A few steps of a real training on the CT that ships with AXON, watched and stopped."""

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
            shipped = Path(backend.load().__file__).parent / "demo_data" / "ct_lidc0306.nii.gz"
            shutil.copy(shipped, Path(folder) / "twin.nii.gz")  # no patient is in two splits
            data = Path(folder) / "data.json"
            data.write_text(json.dumps({"train": [str(shipped)], "validation": ["twin.nii.gz"]}))
            assert logic.checkDataset(data).cases["train"] == 1
            self.delayDisplay(_("Training"))
            run = logic.start(
                data, Path(folder) / "run", stage="encoder", minutes=30, extra=["data.cache=4"]
            )
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
