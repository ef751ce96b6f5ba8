"""The contents of the module widget: sections and parameter node."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from slicer.util import VTKObservationMixin

from AXONReconstructionLib.panel.batch_section import BatchSection
from AXONReconstructionLib.panel.compare_section import CompareSection
from AXONReconstructionLib.panel.inputs_section import InputsSection
from AXONReconstructionLib.panel.messages import MessageArea
from AXONReconstructionLib.panel.reconstruct_section import ReconstructSection
from AXONReconstructionLib.panel.register_section import RegisterSection
from AXONReconstructionLib.panel.setup_section import SetupSection
from AXONReconstructionLib.panel.shortcuts import Shortcuts
from AXONReconstructionLib.views import own_layouts, side_labels

SECTIONS = (
    InputsSection,
    RegisterSection,
    ReconstructSection,
    CompareSection,
    BatchSection,
    SetupSection,
)


class Panel(MessageArea, VTKObservationMixin):
    """The panel of the module. Implements `SectionHost` for its sections.

    Attributes:
        sections: by name of their container.
        ui: named widgets of all sections.

    Args:
        layout: layout of the module widget.
        resourcePath: maps a name in Resources to its path.
        logic: the module's logic.
        isEntered: whether the module is currently shown.
    """

    def __init__(self, layout, resourcePath, logic, isEntered) -> None:
        VTKObservationMixin.__init__(self)
        self.resourcePath = resourcePath
        self.logic = logic
        self.parameterNode: Any = None
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
        self.shortcuts = Shortcuts(self)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._sceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self._sceneEndClose)
        # During scene import, the parameter node is read before the volumes it references, and the
        # wrapper caches the missing references as None.
        self.addObserver(scene, scene.EndImportEvent, self._sceneEndImport)
        self.initializeParameterNode()

    def container(self, name: str):
        """The ctkCollapsibleButton of a section."""
        return getattr(self._own, name)

    # Widget and scene events

    def enter(self) -> None:
        """Called when the user opens the module."""
        self.isShown = True
        side_labels.shared().restore()
        self.shortcuts.install()
        self.initializeParameterNode()
        for section in self.sections.values():
            section.entered()

    def exit(self) -> None:
        """Called when the user switches to another module; computations continue."""
        self.isShown = False
        for section in self.sections.values():
            section.exited()
        side_labels.shared().hide()
        self.shortcuts.remove()
        self._disconnect()

    def cleanup(self) -> None:
        """Called before the widget is destroyed."""
        self.logic.cleanup()  # first, so that the sections are notified of cancelled jobs
        self.shortcuts.remove()
        self._disconnect()
        self.removeObservers()
        for section in self.sections.values():
            section.cleanup()
        self.parameterNode = None

    def initializeParameterNode(self) -> None:
        """Use the scene's parameter node, created if needed."""
        self._setParameterNode(self.logic.getParameterNode())

    def _sceneStartClose(self, caller, event) -> None:
        for section in self.sections.values():
            section.sceneClosing()
        self.logic.sceneClosing()
        self._setParameterNode(None)
        self.hideMessage()

    def _sceneEndClose(self, caller, event) -> None:
        own_layouts.leave()  # its views are empty now
        side_labels.shared().cleanup()
        self._sceneEndImport(caller, event)

    def _sceneEndImport(self, caller, event) -> None:
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
        """Disconnect the widgets from the parameter node."""
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
            return  # the scene is incomplete; called again at the end of the import
        for section in self.sections.values():
            section.parameterNodeChanged(self.parameterNode)

    def useModel(self, path: str) -> None:
        """Select a model by its folder, and open the section Reconstruct."""
        self.parameterNode.bundle = path
        self.container("reconstructSection").collapsed = False

    def setBusy(self, flag: bool) -> None:
        """Notify all sections that a long computation started (True) or ended."""
        self.isBusy = bool(flag)
        for section in self.sections.values():
            section.busyChanged(self.isBusy)
