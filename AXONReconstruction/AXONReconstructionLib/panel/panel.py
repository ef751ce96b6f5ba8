"""The body of the module's widget: its sections, its parameter node."""

from __future__ import annotations

import slicer
import vtk
from slicer.util import VTKObservationMixin

from AXONReconstructionLib.panel.compare_section import CompareSection
from AXONReconstructionLib.panel.inputs_section import InputsSection
from AXONReconstructionLib.panel.messages import MessageArea
from AXONReconstructionLib.panel.reconstruct_section import ReconstructSection
from AXONReconstructionLib.panel.register_section import RegisterSection
from AXONReconstructionLib.panel.setup_section import SetupSection

SECTIONS = (InputsSection, RegisterSection, ReconstructSection, CompareSection, SetupSection)


class Panel(MessageArea, VTKObservationMixin):
    """Fills the module's widget.

    Sections use:
        logic: the module's logic; its results arrive on the main thread.
        parameterNode: None while the scene closes, and after that until the module is shown.
        showError(sentence, details), reportError(exception), showMessage(text), hideMessage(): the message
            area above the sections.
        isShown: the user sees the module; while another one is shown the views are not touched.
        setBusy(flag): a long computation starts or ends; every section hears of it.
        resourcePath(name), container(name), sections (by the container's name), ui (every named
            widget of every section).

    Args:
        layout: of the module's widget.
        resourcePath: from a name in Resources to its path.
        logic: the module's logic.
        isEntered: whether the module is shown now.
    """

    def __init__(self, layout, resourcePath, logic, isEntered) -> None:
        VTKObservationMixin.__init__(self)
        self.resourcePath = resourcePath
        self.logic = logic
        self.parameterNode = None
        self.isBusy = False
        self._isEntered = isEntered
        self.isShown = bool(isEntered())
        self._guiTags: list = []
        self.widget = slicer.util.loadUI(resourcePath("UI/AXONReconstruction.ui"))
        layout.addWidget(self.widget)
        self.widget.setMRMLScene(slicer.mrmlScene)
        self._own = slicer.util.childWidgetVariables(self.widget)
        self.connectMessages()
        self.sections: dict = {}
        for sectionClass in SECTIONS:
            self.sections[sectionClass.container] = sectionClass(self)
        self.ui = slicer.util.childWidgetVariables(self.widget)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._sceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self._sceneEndClose)
        # While a scene is read its settings come before the volumes that they name; the wrapper
        # keeps the None that it found then.
        self.addObserver(scene, scene.EndImportEvent, self._sceneEndClose)
        self.initializeParameterNode()

    def container(self, name: str):
        """The ctkCollapsibleButton of a section."""
        return getattr(self._own, name)

    # The life of the widget

    def enter(self) -> None:
        """The user opens the module."""
        self.isShown = True
        self.initializeParameterNode()
        for section in self.sections.values():
            section.entered()

    def exit(self) -> None:
        """The user opens another module; a computation goes on."""
        self.isShown = False
        for section in self.sections.values():
            section.exited()
        self._disconnect()

    def cleanup(self) -> None:
        """The widget is about to be destroyed."""
        self.logic.cleanup()  # first: the sections still hear that their jobs were cancelled
        self._disconnect()
        self.removeObservers()
        for section in self.sections.values():
            section.cleanup()
        self.parameterNode = None

    def initializeParameterNode(self) -> None:
        """Take the scene's parameter node, made when there is none."""
        self._setParameterNode(self.logic.getParameterNode())

    def _sceneStartClose(self, caller, event) -> None:
        for section in self.sections.values():
            section.sceneClosing()
        self.logic.sceneClosing()
        self._setParameterNode(None)
        self.hideMessage()

    def _sceneEndClose(self, caller, event) -> None:
        if self._isEntered():
            self.initializeParameterNode()

    def _setParameterNode(self, node) -> None:
        self._disconnect()
        self.parameterNode = node
        if node is not None:
            self._guiTags = [node.connectGui(s.ui) for s in self.sections.values()]
            self.addObserver(node.parameterNode, vtk.vtkCommand.ModifiedEvent, self._changed)
        self._changed()

    def _disconnect(self) -> None:
        """The controls no longer follow the parameter node, nor it them."""
        node = self.parameterNode
        if node is None:
            return
        for tag in self._guiTags:
            node.disconnectGui(tag)
        self._guiTags = []
        if self.hasObserver(node.parameterNode, vtk.vtkCommand.ModifiedEvent, self._changed):
            self.removeObserver(node.parameterNode, vtk.vtkCommand.ModifiedEvent, self._changed)

    def _changed(self, caller=None, event=None) -> None:
        if slicer.mrmlScene.IsImporting():
            return  # half a scene; the end of the import comes here again
        for section in self.sections.values():
            section.parameterNodeChanged(self.parameterNode)

    def setBusy(self, flag: bool) -> None:
        """Tell every section that a long computation started (True) or ended."""
        self.isBusy = bool(flag)
        for section in self.sections.values():
            section.busyChanged(self.isBusy)
