"""Registration of AXON's layouts, at start-up and after loading a scene.

A scene stores the number of its layout but not its description. For a number without description
Slicer shows no views at all, but on loading a scene it replaces negative numbers by its initial
layout. AXON's layouts have negative numbers, so that their scenes can be opened without AXON; an
attribute of the layout node stores in which of them the scene was saved.
"""

from __future__ import annotations

import slicer
import vtk

ATTRIBUTE = "AXON.Layout"
_sources: list = []
_numbers: set[int] = set()
_watched: list = []
_lastShown: list = []
_usersLayout: list = []  # the one shown before one of AXON's


def layoutNode():
    """The scene's layout node, or None."""
    return slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")


def shownLayout() -> int | None:
    """The number of the current layout; None without a layout node."""
    node = layoutNode()
    return None if node is None else node.GetViewArrangement()


def addSource(descriptions):
    """Decorator of a function that returns {number: description}, called by `register`."""
    _sources.append(descriptions)
    return descriptions


def register() -> None:
    """Add all layouts to the scene's layout node, if needed."""
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
        _showSaved(scene, None)  # for a scene that was loaded during start-up
        node.AddObserver(vtk.vtkCommand.ModifiedEvent, _note)
        scene.AddObserver(scene.EndImportEvent, _showSaved)
        scene.AddObserver(scene.EndRestoreEvent, _showSaved)


def show(number: int) -> None:
    """Switch to one of AXON's layouts, and remember the user's."""
    register()
    manager = slicer.app.layoutManager()
    if shownLayout() not in _numbers:
        _usersLayout[:] = [shownLayout()]
    if manager is not None:
        manager.setLayout(number)


def leave() -> None:
    """Restore the user's layout, if one of AXON's is shown, or was until the scene closed."""
    manager, shown = slicer.app.layoutManager(), shownLayout()
    if shown == slicer.vtkMRMLLayoutNode.SlicerLayoutNone and _lastShown:
        shown = _lastShown[0]  # Slicer is about to show it again
    if manager is not None and shown in _numbers:
        default = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
        before = _usersLayout[0] if _usersLayout else None
        manager.setLayout(default if before is None else before)


def _note(node, event) -> None:
    scene = node.GetScene()
    if scene is None or scene.IsImporting() or scene.IsRestoring():
        return  # the attribute belongs to the saved scene
    number = node.GetViewArrangement()
    if number != node.SlicerLayoutNone:
        _lastShown[:] = [number]
    node.SetAttribute(ATTRIBUTE, str(number) if number in _numbers else None)


def _showSaved(scene, event) -> None:
    node = layoutNode()
    if node is None:
        return
    saved = {str(number): number for number in _numbers}.get(node.GetAttribute(ATTRIBUTE))
    if saved is not None and node.GetViewArrangement() == node.SlicerLayoutInitialView:
        node.SetViewArrangement(saved)
    _note(node, event)
