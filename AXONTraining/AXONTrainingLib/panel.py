"""The contents of the module widget: boxes, parameter node and polling timer."""

from __future__ import annotations

from typing import Any

import qt
import slicer
import vtk
from slicer.util import VTKObservationMixin

from AXONReconstructionLib.panel.messages import MessageArea
from AXONTrainingLib.data_box import DataBox
from AXONTrainingLib.model_box import ModelBox
from AXONTrainingLib.run_box import RunBox
from AXONTrainingLib.settings_box import SettingsBox

POLL_MILLISECONDS = 1000


class Panel(MessageArea, VTKObservationMixin):
    """The panel of the module.

    Attributes:
        logic: the module's logic.
        parameterNode: None while the scene closes, and then until the module is shown.
        ui: all named widgets.
        boxes: data, settings, run and model.

    Args:
        layout: layout of the module widget.
        resourcePath: maps a name in Resources to its path.
        logic: the module's logic.
        isEntered: whether the module is currently shown.
    """

    def __init__(self, layout, resourcePath, logic, isEntered) -> None:
        VTKObservationMixin.__init__(self)
        self.logic, self._isEntered = logic, isEntered
        self.parameterNode = None
        self.isShown = False
        self.widget = slicer.util.loadUI(resourcePath("UI/AXONTraining.ui"))
        layout.addWidget(self.widget)
        self.widget.setMRMLScene(slicer.mrmlScene)
        self.ui = self._own = slicer.util.childWidgetVariables(self.widget)
        self.connectMessages()
        self.boxes: dict[str, Any] = {
            "data": DataBox(self),
            "settings": SettingsBox(self),
            "run": RunBox(self),
            "model": ModelBox(self),
        }
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._sceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self._sceneEndClose)
        self.addObserver(scene, scene.EndImportEvent, self._sceneEndClose)
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MILLISECONDS)
        self._timer.connect("timeout()", self.poll)
        self._timer.start()
        self.boxes["settings"].checkPackages()
        self.initializeParameterNode()

    def enter(self) -> None:
        """Called when the user opens the module."""
        self.isShown = True
        self.boxes["settings"].checkPackages()  # the other module may have installed some
        self.initializeParameterNode()

    def exit(self) -> None:
        """Called when the user switches to another module; monitoring continues without views."""
        self.isShown = False

    def cleanup(self) -> None:
        """Called before the widget is destroyed; training continues."""
        self._timer.stop()
        self.removeObservers()
        self.parameterNode = None

    def initializeParameterNode(self) -> None:
        """Use the scene's parameter node, created if needed."""
        self._setParameterNode(self.logic.getParameterNode())

    def poll(self) -> None:
        """Update from the processes running alongside Slicer."""
        if self.parameterNode is None or slicer.mrmlScene.IsImporting():
            return
        try:
            for box in self.boxes.values():
                box.poll()
        except Exception as error:
            self.reportError(error)

    def refresh(self) -> None:
        """Update all widgets from the parameter node."""
        if self.parameterNode is None or slicer.mrmlScene.IsImporting():
            return
        for box in self.boxes.values():
            box.refresh()

    def _sceneStartClose(self, caller, event) -> None:
        self._setParameterNode(None)
        self.boxes["run"].sceneClosing()
        self.hideMessage()

    def _sceneEndClose(self, caller, event) -> None:
        if self._isEntered():
            self.initializeParameterNode()

    def _setParameterNode(self, node) -> None:
        old, self.parameterNode = self.parameterNode, node
        modified = vtk.vtkCommand.ModifiedEvent
        if old is not None and self.hasObserver(old.parameterNode, modified, self._changed):
            self.removeObserver(old.parameterNode, modified, self._changed)
        if node is not None:
            self.addObserver(node.parameterNode, modified, self._changed)
        self.refresh()

    def _changed(self, caller=None, event=None) -> None:
        self.refresh()
