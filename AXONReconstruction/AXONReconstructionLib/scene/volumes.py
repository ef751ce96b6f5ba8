"""The parts of a scalar volume node that AXON reads and writes."""

from __future__ import annotations

import os

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from AXONReconstructionLib.setup import backend

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def fill(node, voxels, ijkToRas, name, window):
    """Give a node voxels [k, j, i], geometry, name and grey window (low, high).

    None, or a node that was deleted meanwhile, makes a new one; it gets a number behind its name
    where that is taken.
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


def greyWindow(pixels):
    """(low, high) in which a radiograph shows well, whatever a few letters or blades do."""
    return np.percentile(pixels[:: max(1, pixels.shape[0] // 512)], (0.5, 99.5))


def setWindow(node, low, high):
    """Greys from `low` (black) to `high` (white), no longer automatic."""
    display = node.GetScalarVolumeDisplayNode()
    if display is not None:
        display.AutoWindowLevelOff()
        display.SetWindowLevelMinMax(float(low), float(high) if high > low else float(low) + 1.0)


def setAttributes(node, **values):
    """Set `AXON.<Name>` attributes; None removes one."""
    for name, value in values.items():
        node.SetAttribute(f"AXON.{name}", None if value is None else str(value))


def ijkToWorld(node, withTransform=True):
    """(4, 4): voxel (i, j, k) to RAS millimetres of the world, or of the node itself.

    Raises:
        AxonInputError: the node lies under a transform that bends.
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
                "{name} lies under the transform {transform}, which bends it. Harden that "
                "transform, or take {name} out of it."
            ).format(name=node.GetName(), transform=parent.GetName())
        )
    return slicer.util.arrayFromTransformMatrix(parent, toWorld=True) @ ijkToRas


def unchangedFile(node):
    """The file that a volume was loaded from, or "" when it is gone or the volume was edited."""
    if node.GetModifiedSinceRead():
        return ""
    for path in _files(node):
        if path and os.path.isfile(path):
            return path
    return ""


def sourceOf(node):
    """What to call a volume in a record: its file, else its name."""
    return node.GetAttribute("AXON.Source") or next(iter(_files(node)), "") or node.GetName()


def _files(node):
    database = getattr(slicer, "dicomDatabase", None)
    instances = (node.GetAttribute("DICOM.instanceUIDs") or "").split()
    if database is not None and instances:
        yield database.fileForInstance(instances[0])
    storage = node.GetStorageNode()
    if storage is not None and storage.GetFileName():
        yield storage.GetFileName()
