"""The difference of two volumes of the scene and how well they agree, computed on the worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.scene.volumes import fill, huArrays, ijkToWorld, setAttributes
from AXONReconstructionLib.setup import backend

ATTRIBUTE = "AXON.Comparison"


@dataclass(frozen=True)
class Comparison:
    """How a volume compares with another one.

    Attributes:
        volume, other: the nodes.
        difference: node of volume minus other, HU, on the grid of `volume`; it is overwritten by
            the next comparison.
        metrics: as registered in the backend, with `other` as the truth.
    """

    volume: Any
    other: Any
    difference: Any
    metrics: dict[str, float]


def compare(tasks, volume, other, window=None, **callbacks):
    """Compare two scalar volume nodes in HU; yields a `Comparison`.

    Args:
        tasks: the logic's `Tasks`.
        window: (low, high) HU to which metrics clip; None is the default.
    """
    a, b = huArrays(volume), huArrays(other)

    def work(job):
        hu = None if window is None else backend.load("imaging.frame").HuWindow(*window)
        return backend.load("evaluation.side_by_side").compare_volumes(*a, *b, hu)

    def finish(found):
        difference, metrics = found
        return Comparison(volume, other, _node(difference, ijkToWorld(volume)), metrics)

    return tasks.run(work, finish, key="compare", **callbacks)


def _node(difference, ijkToRas):
    old = [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        if node.GetAttribute(ATTRIBUTE) is not None
    ]
    title = _("AXON difference of A and B")
    node = fill(old[0] if old else None, difference, ijkToRas, title, (-500.0, 500.0))
    setAttributes(node, Comparison="difference")
    node.SetSaveWithScene(False)
    return node
