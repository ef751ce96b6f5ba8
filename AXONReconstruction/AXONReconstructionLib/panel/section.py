"""One foldable part of the panel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer

if TYPE_CHECKING:
    from AXONReconstructionLib.panel.panel import Panel


class Section:
    """Loads its `.ui` file into the panel and connects its controls.

    A subclass names its file and the `ctkCollapsibleButton` of AXONReconstruction.ui that it fills.
    The top widget of the file is a `qMRMLWidget`, whose `mrmlSceneChanged` feeds the node
    selectors. Controls with the property `SlicerParameterName` follow the parameter node.

    Attributes:
        panel: gives `logic`, `parameterNode`, `showError`, `reportError`, `say`, `busy`.
        widget: the loaded widget.
        ui: its named children as attributes.
        container: after construction still the name; the widget is `panel.container(name)`.
    """

    uiFile = ""
    container = ""

    def __init__(self, panel: Panel) -> None:
        self.panel = panel
        self.widget = slicer.util.loadUI(panel.resourcePath(f"UI/{self.uiFile}"))
        self.ui = slicer.util.childWidgetVariables(self.widget)
        panel.container(self.container).layout().addWidget(self.widget)
        self.widget.setMRMLScene(slicer.mrmlScene)

    @property
    def logic(self):
        """The module's logic."""
        return self.panel.logic

    @property
    def parameterNode(self):
        """The parameter node; None while the scene closes, and until the module is shown again."""
        return self.panel.parameterNode

    def parameterNodeChanged(self, node) -> None:
        """Called when a parameter node was set (then also with None) and after every change of it.

        Many times a second while a slider moves: it must be cheap.
        """

    def busyChanged(self, busy: bool) -> None:
        """Called when a long computation of another section starts or ends."""

    def bundlesChanged(self) -> None:
        """Called when a model was imported or deleted in the Setup section."""

    def entered(self) -> None:
        """Called each time the user opens the module."""

    def exited(self) -> None:
        """Called each time the user opens another module."""

    def sceneClosing(self) -> None:
        """Called before the scene closes: forget every node."""

    def cleanup(self) -> None:
        """Called before the panel is destroyed: remove observers, stop timers."""
