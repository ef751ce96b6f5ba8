"""Lungs and bones of a result as a segmentation node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.scene import case_folder
from AXONReconstructionLib.scene.volumes import huArrays, setAttributes
from AXONReconstructionLib.setup import backend

COLOURS = {"lungs": (0.40, 0.70, 0.95), "bone": (0.95, 0.84, 0.57)}
OTHER_COLOURS = {"lungs": (0.10, 0.30, 0.75), "bone": (0.80, 0.45, 0.10)}


@dataclass(frozen=True)
class Segmented:
    """The segmentation node, and the backend's `Structure` by name."""

    node: Any
    structures: dict


def segment(tasks, volume, other=None, otherName: str = "", window=None, **callbacks):
    """Segment lungs and bones of a volume node by thresholds; yields a `Segmented`.

    Args:
        tasks: the logic's `Tasks`.
        other: volume node to compare with, or None; its structures become segments too.
        otherName: for the names of these segments.
        window: (low, high) HU; None is the default.
    """
    arrays = huArrays(volume) + (() if other is None else huArrays(other))

    def work(job):
        hu = None if window is None else backend.load("imaging.frame").HuWindow(*window)
        return backend.load("evaluation.segment").segment(*arrays, window=hu)

    def finish(structures):
        return Segmented(_node(volume, structures, otherName), structures)

    return tasks.run(work, finish, key="segment", **callbacks)


def nameOf(structure: str) -> str:
    """Display name of a structure."""
    return {"lungs": _("Lungs"), "bone": _("Bones")}[structure]


def _node(volume, structures, otherName):
    title = _("Lungs and bones of {name}").format(name=volume.GetName())
    old = slicer.mrmlScene.GetFirstNodeByName(title)
    if old is not None and old.IsA("vtkMRMLSegmentationNode"):
        slicer.mrmlScene.RemoveNode(old)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", title)
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    for name, structure in structures.items():
        _add(node, nameOf(name), structure.mask, COLOURS[name], volume)
        if structure.other is not None:
            label = f"{nameOf(name)} ({otherName})"
            _add(node, label, structure.other, OTHER_COLOURS[name], volume)
    setAttributes(node, ResearchUseOnly=backend.load().DISCLAIMER)
    case_folder.putBeside(node, volume)
    return node


def _add(node, name, mask, colour, volume) -> None:
    segment = node.GetSegmentation().AddEmptySegment("", name, colour)
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), node, segment, volume)
