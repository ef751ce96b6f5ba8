"""Subject hierarchy: one folder per case, and in it one per run."""

from __future__ import annotations

import slicer
import vtk

ATTRIBUTE = "AXON.Case"


def caseFolder(key: str, name: str) -> int:
    """The item of a case's folder, created if needed.

    Args:
        key: identifies the inputs of the case.
        name: of a new folder.
    """
    hierarchy = _hierarchy()
    items = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), items)
    for index in range(items.GetNumberOfIds()):
        item = items.GetId(index)
        if hierarchy.GetItemAttribute(item, ATTRIBUTE) == key:
            return item
    item = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), name)
    hierarchy.SetItemAttribute(item, ATTRIBUTE, key)
    return item


def runFolder(case: int, name: str) -> int:
    """The item of a new folder in a case's folder."""
    return _hierarchy().CreateFolderItem(case, name)


def put(node, folder: int) -> None:
    """Move a node into a folder."""
    hierarchy = _hierarchy()
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.SetItemParent(item, folder)
    else:
        hierarchy.CreateItem(folder, node)


def putBeside(node, other) -> None:
    """Move a node into the folder of another node."""
    hierarchy = _hierarchy()
    item = hierarchy.GetItemByDataNode(other)
    put(node, hierarchy.GetItemParent(item) if item else hierarchy.GetSceneItemID())


def _hierarchy():
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
