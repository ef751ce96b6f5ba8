"""AXON's layouts among Slicer's: known from the start, and found again in a saved scene.

A scene keeps the number of its layout, not its description. Slicer shows no views at all for a
number that nobody has described, but takes every negative one, when it reads a scene, for its own
initial layout. AXON's layouts have negative numbers, so that a scene opens without AXON as well;
which of them it was saved in is kept in an attribute of the layout node.
"""

from __future__ import annotations

import slicer
import vtk

ATTRIBUTE = "AXON.Layout"
_sources: list = []
_numbers: set[int] = set()
_watched: list = []


def layoutNode():
    """The scene's layout node, or None."""
    return slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")


def shownLayout() -> int | None:
    """The number of the layout on the screen; None where there is no layout."""
    node = layoutNode()
    return None if node is None else node.GetViewArrangement()


def addSource(descriptions):
    """Decorator of a function that returns layouts, {number: description}; `register` calls it."""
    _sources.append(descriptions)
    return descriptions


def register() -> None:
    """Make all of them known to the scene's layout node; harmless when they already are."""
    node = layoutNode()
    if node is None:
        return
    descriptions = {number: text for source in _sources for number, text in source().items()}
    _numbers.update(descriptions)
    for number, description in descriptions.items():
        if not node.SetLayoutDescription(number, description):
            node.AddLayoutDescription(number, description)
    if node not in _watched:
        _watched[:] = [node]
        scene = slicer.mrmlScene
        _showSaved(scene, None)  # of a scene that was opened while Slicer started
        node.AddObserver(vtk.vtkCommand.ModifiedEvent, _note)
        scene.AddObserver(scene.EndImportEvent, _showSaved)
        scene.AddObserver(scene.EndRestoreEvent, _showSaved)


def _note(node, event) -> None:
    scene = node.GetScene()
    if scene is None or scene.IsImporting() or scene.IsRestoring():
        return  # the attribute is the saved scene's
    number = node.GetViewArrangement()
    node.SetAttribute(ATTRIBUTE, str(number) if number in _numbers else None)


def _showSaved(scene, event) -> None:
    node = layoutNode()
    if node is None:
        return
    saved = {str(number): number for number in _numbers}.get(node.GetAttribute(ATTRIBUTE))
    if saved is not None and node.GetViewArrangement() == node.SlicerLayoutInitialView:
        node.SetViewArrangement(saved)
    _note(node, event)
