"""Reading and writing scalar volume nodes."""

from __future__ import annotations

import os

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from AXONReconstructionLib.setup import backend

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def fill(node, voxels, ijkToRas, name, window):
    """Set a node's voxels [k, j, i], geometry, name and display window (low, high).

    If the node is None or was deleted, a new one with a unique name is created.
    """
    if node is None or not slicer.mrmlScene.IsNodePresent(node):
        name = slicer.mrmlScene.GetUniqueNameByString(name)
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    with slicer.util.NodeModify(node):
        node.SetName(name)
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(np.asarray(ijkToRas, float)))
        slicer.util.updateVolumeFromArray(node, np.ascontiguousarray(voxels))
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
        setWindow(node, *window)
    return node


def intensityWindow(pixels):
    """Display window (low, high) of a radiograph, robust to markers and collimator blades."""
    return np.percentile(pixels[:: max(1, pixels.shape[0] // 512)], (0.5, 99.5))


def setWindow(node, low, high):
    """Set a fixed display window from `low` (black) to `high` (white)."""
    display = node.GetScalarVolumeDisplayNode()
    if display is not None:
        display.AutoWindowLevelOff()
        display.SetWindowLevelMinMax(float(low), float(high) if high > low else float(low) + 1.0)


def requireVolumeNode(node, name: str):
    """The node itself, if it is a volume node.

    Args:
        name: of the argument, for the message.

    Raises:
        TypeError: it is not a volume node.
    """
    if not isinstance(node, slicer.vtkMRMLVolumeNode):
        raise TypeError(f"{name} must be a volume node, got {node!r}")
    return node


def setAttributes(node, **values):
    """Set `AXON.<Name>` attributes; None removes one."""
    for name, value in values.items():
        node.SetAttribute(f"AXON.{name}", None if value is None else str(value))


def ijkToWorld(node, withTransform=True):
    """(4, 4): voxel (i, j, k) to RAS millimetres of the world, or of the node itself.

    Raises:
        AxonInputError: the node has a nonlinear transform.
    """
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    ijkToRas = slicer.util.arrayFromVTKMatrix(matrix)
    parent = node.GetParentTransformNode() if withTransform else None
    if parent is None:
        return ijkToRas
    if not parent.IsTransformToWorldLinear():
        raise backend.load("errors").AxonInputError(
            _(
                "{name} has the nonlinear transform {transform}. Harden the transform or remove "
                "it from {name}."
            ).format(name=node.GetName(), transform=parent.GetName())
        )
    return slicer.util.arrayFromTransformMatrix(parent, toWorld=True) @ ijkToRas


def huArrays(node):
    """A copy of a node's voxels (HU, float32, [k, j, i]) and its (4, 4) IJK to LPS millimetres of
    the world, for any thread.

    Raises:
        AxonInputError: the node has a nonlinear transform.
    """
    return np.array(slicer.util.arrayFromVolume(node), np.float32), LPS_TO_RAS @ ijkToWorld(node)


def unchangedFile(node):
    """The file a volume was loaded from; "" if it no longer exists or the volume was modified."""
    if node.GetModifiedSinceRead():
        return ""
    for path in _files(node):
        if path and os.path.isfile(path):
            return path
    return ""


def sourceOf(node):
    """Name of a volume in a record: its file, or its node name."""
    return node.GetAttribute("AXON.Source") or next(iter(_files(node)), "") or node.GetName()


def _files(node):
    database = getattr(slicer, "dicomDatabase", None)
    instances = (node.GetAttribute("DICOM.instanceUIDs") or "").split()
    if database is not None and instances:
        yield database.fileForInstance(instances[0])
    storage = node.GetStorageNode()
    if storage is not None and storage.GetFileName():
        yield storage.GetFileName()
