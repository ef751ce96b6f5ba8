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
    """Metadata of the module, as shown by Slicer."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("AXON Reconstruction")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Tomographic Reconstruction")]
        parent.dependencies = [
            "Cameras",
            "Colors",
            "Markups",
            "Plots",
            "Segmentations",
            "Sequences",
            "SubjectHierarchy",
            "Tables",
            "Transforms",
            "VolumeRendering",
            "Volumes",
        ]
        parent.contributors = ["AXON contributors"]
        parent.helpText = _(
            "Reconstructs a chest CT volume from one or two X-rays with diffusion models, in four "
            "steps: <b>Inputs</b> loads the X-rays and reports what was assumed about them, "
            "<b>Register</b> registers them to the patient's CT or to the atlas (an average "
            "chest), <b>Reconstruct</b> computes the volume, and <b>Compare</b> shows it beside "
            "the CT or another result. <b>Batch</b> does the same for a folder of patients. The "
            "module Sample Data provides example cases."
            "<p>Keyboard: Alt+1 to Alt+4 open a step, Ctrl+Return clicks its main button.</p>"
            "<p>{documentation}</p>"
            "<p><b>Research use only, not for diagnosis.</b> An X-ray does not contain most of "
            "the information in a CT: the volume is a prediction.</p>"
        ).format(documentation=documentationLink("slicer.md"))
        parent.acknowledgementText = _(
            "If you use AXON, please cite the method: M. Rath, M. Ghahremani, Y. Li, A. Taghipour, "
            "M. Makowski, C. Wachinger: Conditional Diffusion for 3D CT Volume Reconstruction from "
            "2D X-rays. {link} (2026). AXON is an independent open implementation of it."
        ).format(link='<a href="https://arxiv.org/abs/2603.26509">arXiv:2603.26509</a>')
        slicer.app.connect("startupCompleted()", registerSampleData)
        slicer.app.connect("startupCompleted()", registerLayouts)


def documentationLink(page):
    """Sentence with a link to a page of the documentation."""
    url = f"https://github.com/axon-ct/SlicerAXON/blob/main/Resources/Docs/{page}"
    return _("For tutorial and troubleshooting, see the {start}documentation{end}.").format(
        start=f'<a href="{url}">', end="</a>"
    )


def registerSampleData():
    """Add the cases that ship with AXON to the Sample Data module."""
    from AXONReconstructionLib.console import sample_data

    sample_data.register()


def registerLayouts():
    """Register AXON's layouts, so that a scene saved in one of them can restore it."""
    # Importing `layout` and `xray_views` adds their layouts.
    from AXONReconstructionLib.views import layout, own_layouts, xray_views  # noqa: F401

    own_layouts.register()


class AXONReconstructionWidget(ScriptedLoadableModuleWidget):
    """Module widget; its contents are implemented in `AXONReconstructionLib.panel.panel`.

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
        from AXONReconstructionLib.panel.panel import Panel

        ScriptedLoadableModuleWidget.setup(self)
        self.logic = AXONReconstructionLogic()
        self.panel = Panel(
            self.layout, self.resourcePath, self.logic, lambda: self.parent.isEntered
        )
        self.ui = self.panel.ui

    def enter(self):
        """Called when the user opens this module."""
        if self.panel is not None:
            self.panel.enter()

    def exit(self):
        """Called when the user switches to another module."""
        if self.panel is not None:
            self.panel.exit()

    def cleanup(self):
        """Called before the widget is destroyed or reloaded."""
        if self.panel is not None:
            self.panel.cleanup()
            self.panel = None

    def onReload(self):
        """Reload the module and its Lib (developer mode); `axon_backend` requires a restart."""
        package = "AXONReconstructionLib"
        for name in [n for n in sys.modules if n == package or n.startswith(package + ".")]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)


class AXONReconstructionTest(ScriptedLoadableModuleTest):
    """End-to-end test of the logic with the model and the test patient that ship with AXON."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_wholeCase()

    def test_wholeCase(self):
        from AXONReconstructionLib.console import sample_data
        from AXONReconstructionLib.setup import backend

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
                accepted={role: found.matrix for role, found in placed.items()},
            )
            assert list(result.volumes) == [stage["name"] for stage in result.record["stages"]]
            for stage, values in logic.metrics(result).items():
                assert values["ssim3d_gauss11"] > 0.2, stage
            assert "not for diagnosis" in result.volume.GetAttribute("AXON.ResearchUseOnly")
        finally:
            logic.cleanup()
        self.delayDisplay(_("Test passed"))
