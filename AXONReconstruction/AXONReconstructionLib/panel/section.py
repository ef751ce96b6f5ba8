"""Base class of the sections of the panel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import slicer


class SectionHost(Protocol):
    """What a section uses of its panel.

    Attributes:
        logic: the module's logic; its results arrive on the main thread.
        parameterNode: None while the scene closes, and then until the module is shown.
        sections: all sections, by name of their container.
        isBusy: a long computation is running.
        isShown: the module is shown; otherwise sections must not change the views.
    """

    logic: Any
    parameterNode: Any
    sections: dict[str, Any]
    isBusy: bool
    isShown: bool

    def resourcePath(self, name: str) -> str:
        """Path of a file in Resources."""

    def container(self, name: str) -> Any:
        """The ctkCollapsibleButton of a section."""

    def setBusy(self, flag: bool) -> None:
        """Notify all sections that a long computation started (True) or ended."""

    def showError(self, sentence: str, details: str = "") -> None:
        """Show an error message."""

    def reportError(self, error: BaseException) -> None:
        """Show an exception as an error message."""

    def showMessage(self, text: str) -> None:
        """Show a message that is not an error."""

    def hideMessage(self) -> None:
        """Clear and hide the message area."""

    def addObserver(self, obj: Any, event: Any, method: Any) -> None:
        """Observe a VTK object until the panel is destroyed."""


class Section:
    """A collapsible section: loads its `.ui` file into the panel and connects its widgets.

    A subclass defines its `.ui` file and the `ctkCollapsibleButton` of AXONReconstruction.ui that
    contains it. The top-level widget of the file is a `qMRMLWidget`, whose `mrmlSceneChanged` is
    connected to the node selectors. Widgets with the property `SlicerParameterName` are bound to
    the parameter node.

    Attributes:
        panel: the panel that contains the section.
        widget: the loaded widget.
        ui: its named children as attributes.
        container: name of the container; the widget is `panel.container(name)`.
    """

    uiFile = ""
    container = ""

    def __init__(self, panel: SectionHost) -> None:
        self.panel = panel
        self.widget = slicer.util.loadUI(panel.resourcePath(f"UI/{self.uiFile}"))
        self.ui = slicer.util.childWidgetVariables(self.widget)
        panel.container(self.container).layout().addWidget(self.widget)
        self.widget.setMRMLScene(slicer.mrmlScene)

    @property
    def logic(self) -> Any:
        """The module's logic."""
        return self.panel.logic

    @property
    def parameterNode(self) -> Any:
        """The parameter node; None while the scene closes, and then until the module is shown."""
        return self.panel.parameterNode

    def compute(
        self, start: Callable[..., Any], *args: Any, finished, over, **options: Any
    ) -> None:
        """Start a computation of the logic; an error is reported in the panel.

        Args:
            start: takes `args`, `options`, and the callbacks of the logic's methods.
            finished: called with the result, on the main thread.
            over: called before that, and after an error or a cancellation.
        """

        def done(result) -> None:
            over()
            finished(result)

        def failed(error) -> None:
            over()
            self.panel.reportError(error)

        try:
            start(
                *args,
                onFinished=done,
                onError=failed,
                onCancelled=lambda _partial=None: over(),
                **options,
            )
        except Exception as error:
            failed(error)

    def parameterNodeChanged(self, node) -> None:
        """Called when the parameter node was set (possibly to None) and after each modification.

        Called many times per second while a slider moves, so it must be fast.
        """

    def busyChanged(self, busy: bool) -> None:
        """Called when a long computation starts or ends."""

    def bundlesChanged(self) -> None:
        """Called when a model was imported or deleted."""

    def entered(self) -> None:
        """Called each time the user opens the module."""

    def exited(self) -> None:
        """Called each time the user switches to another module."""

    def sceneClosing(self) -> None:
        """Called before the scene closes: release all nodes."""

    def cleanup(self) -> None:
        """Called before the panel is destroyed: remove observers and stop timers."""
