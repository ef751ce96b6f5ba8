"""Orientation labels in slice views: R and L, A and P, S and I."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from slicer.util import VTKObservationMixin

_POSITIONS = {"left": (0.02, 0.5), "right": (0.98, 0.5), "top": (0.5, 0.98), "bottom": (0.5, 0.02)}


_shared: list = []


def shared() -> SideLabels:
    """The labels of all slice views (a single instance)."""
    if not _shared:
        _shared.append(SideLabels())
    return _shared[0]


def directionLetter(direction) -> str:
    """The label of the dominant axis of a RAS direction."""
    axis = int(np.argmax(np.abs(direction)))
    return ("RL", "AP", "SI")[axis][0 if direction[axis] > 0 else 1]


class SideLabels(VTKObservationMixin):
    """Keeps the orientation labels up to date when slice views are rotated."""

    def __init__(self) -> None:
        VTKObservationMixin.__init__(self)
        self._actors: dict = {}
        self._hidden: list = []

    def show(self, tag: str) -> None:
        """Show labels in the slice view with this name."""
        manager = slicer.app.layoutManager()
        node = slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLSliceNode")
        widget = None if manager is None else manager.sliceWidget(tag)
        if node is None or widget is None:
            return
        if tag not in self._actors:
            renderer = widget.sliceView().renderWindow().GetRenderers().GetFirstRenderer()
            actors = {side: _actor(side) for side in _POSITIONS}
            for actor in actors.values():
                renderer.AddViewProp(actor)
            self._actors[tag] = (renderer, actors)
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self._sliceRotated)
        self._write(tag, node)

    def hide(self) -> None:
        """Remove the labels while another module is shown; see `restore`."""
        hidden = list(self._actors)
        self.cleanup()
        self._hidden = hidden

    def restore(self) -> None:
        """Show the labels again that `hide` removed."""
        for tag in self._hidden:
            self.show(tag)
        self._hidden = []

    def cleanup(self) -> None:
        """Remove the labels from all views."""
        self._hidden = []
        self.removeObservers()
        for renderer, actors in self._actors.values():
            for actor in actors.values():
                renderer.RemoveViewProp(actor)
        tags = list(self._actors)
        self._actors.clear()
        manager = slicer.app.layoutManager()
        for tag in tags if manager is not None else ():
            widget = manager.sliceWidget(tag)
            if widget is not None:
                widget.sliceView().scheduleRender()

    def texts(self, tag: str) -> dict:
        """The label at each side of a slice view; empty if none are shown."""
        return {side: a.GetInput() for side, a in self._actors.get(tag, (None, {}))[1].items()}

    def _sliceRotated(self, node, event) -> None:
        if node.GetLayoutName() in self._actors:
            self._write(node.GetLayoutName(), node)

    def _write(self, tag: str, node) -> None:
        matrix = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())
        right, up = matrix[:3, 0], matrix[:3, 1]
        directions = {"left": -right, "right": right, "top": up, "bottom": -up}
        for side, actor in self._actors[tag][1].items():
            actor.SetInput(directionLetter(directions[side]))


def _actor(side: str) -> vtk.vtkTextActor:
    actor = vtk.vtkTextActor()
    actor.GetPositionCoordinate().SetCoordinateSystemToNormalizedViewport()
    actor.SetPosition(*_POSITIONS[side])
    style = actor.GetTextProperty()
    style.SetFontSize(22)
    style.BoldOn()
    style.ShadowOn()
    style.SetColor(1.0, 0.85, 0.3)
    {"left": style.SetJustificationToLeft, "right": style.SetJustificationToRight}.get(
        side, style.SetJustificationToCentered
    )()
    {
        "top": style.SetVerticalJustificationToTop,
        "bottom": style.SetVerticalJustificationToBottom,
    }.get(side, style.SetVerticalJustificationToCentered)()
    return actor
