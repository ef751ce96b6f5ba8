"""AXON Reconstruction: a CT volume from one or two chest X-rays. Research use only."""

import sys

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

from AXONReconstructionLib.console.logic import AXONReconstructionLogic


class AXONReconstruction(ScriptedLoadableModule):
    """What Slicer shows of the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("AXON Reconstruction")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Tomographic Reconstruction")]
        parent.dependencies = ["Markups", "VolumeRendering", "Volumes"]
        parent.contributors = ["AXON contributors"]
        parent.helpText = _(
            "Computes a chest CT volume from one or two X-rays with diffusion models, in four "
            "steps: <b>Inputs</b> loads the X-rays and says what was assumed about them, "
            "<b>Register</b> lays them over the patient's CT or over an average chest, "
            "<b>Reconstruct</b> computes the volume, <b>Compare</b> shows it beside the true CT. "
            "Two cases to try it with are in the module Sample Data."
            "<p><b>Research use only, not for diagnosis.</b> Most of what a CT shows is not in an "
            "X-ray: the volume is a well-informed guess.</p>"
        )
        parent.acknowledgementText = _(
            "If you use it, please cite the method: M. Rath, M. Ghahremani, Y. Li, A. Taghipour, "
            "M. Makowski, C. Wachinger: Conditional Diffusion for 3D CT Volume Reconstruction from "
            "2D X-rays. {link} (2026). AXON is an independent open implementation of it."
        ).format(link='<a href="https://arxiv.org/abs/2603.26509">arXiv:2603.26509</a>')
        slicer.app.connect("startupCompleted()", registerSampleData)
        slicer.app.connect("startupCompleted()", registerLayouts)


def registerSampleData():
    """Offer the cases that ship with AXON in the module Sample Data."""
    from AXONReconstructionLib.setup import sample_data

    sample_data.register()


def registerLayouts():
    """Make AXON's layouts known, so that a scene saved in one of them opens in it."""
    # Importing the first two adds their layouts.
    from AXONReconstructionLib.views import layout, own_layouts, xray_views  # noqa: F401

    own_layouts.register()


class AXONReconstructionWidget(ScriptedLoadableModuleWidget):
    """The frame of the panel; everything in it belongs to `AXONReconstructionLib.panel.panel`.

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
        from AXONReconstructionLib.panel.panel import Panel

        ScriptedLoadableModuleWidget.setup(self)
        self.logic = AXONReconstructionLogic()
        self.panel = Panel(
            self.layout, self.resourcePath, self.logic, lambda: self.parent.isEntered
        )
        self.ui = self.panel.ui

    def enter(self):
        """The user opens this module."""
        if self.panel is not None:
            self.panel.enter()

    def exit(self):
        """The user opens another module."""
        if self.panel is not None:
            self.panel.exit()

    def cleanup(self):
        """The widget is about to be destroyed or reloaded."""
        if self.panel is not None:
            self.panel.cleanup()
            self.panel = None

    def onReload(self):
        """Reload the module and its Lib, for developers; `axon_backend` needs a restart."""
        package = "AXONReconstructionLib"
        for name in [n for n in sys.modules if n == package or n.startswith(package + ".")]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)


class AXONReconstructionTest(ScriptedLoadableModuleTest):
    """A whole small case through the logic, with the model and the patient that ship with AXON."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_wholeCase()

    def test_wholeCase(self):
        from AXONReconstructionLib.setup import backend, sample_data

        missing = backend.available()
        if missing is not None:
            self.delayDisplay(_("Skipped: {reason}").format(reason=missing))
            return
        ct, frontal, lateral = sample_data.load("AXONTestPatient")
        logic = AXONReconstructionLogic()
        try:
            self.delayDisplay(_("Registering"))
            placed = logic.register(frontal, lateral, ct)
            assert placed["frontal"].quality["verdict"] == "good"
            self.delayDisplay(_("Reconstructing"))
            result = logic.reconstruct(
                frontal,
                lateral,
                ct,
                steps={"coarse": 2, "fine": 2},
                accepted={role: found.matrix for role, found in placed.items()},
            )
            assert list(result.volumes) == ["coarse", "fine", "sr"]
            for stage, values in logic.metrics(result).items():
                assert values["ssim3d_gauss11"] > 0.2, stage
            assert "not for diagnosis" in result.volume.GetAttribute("AXON.ResearchUseOnly")
        finally:
            logic.cleanup()
        self.delayDisplay(_("Test passed"))
