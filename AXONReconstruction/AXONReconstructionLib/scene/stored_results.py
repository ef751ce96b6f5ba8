"""The results of a scene: one node per run, saved with the scene."""

from __future__ import annotations

import json

import slicer
from slicer import (
    vtkMRMLScalarVolumeNode,
    vtkMRMLSequenceBrowserNode,
    vtkMRMLTableNode,
)
from slicer.parameterNodeWrapper import parameterNodeWrapper

from AXONReconstructionLib.scene.results import ReconstructionResult, resultOf

ATTRIBUTE = "AXON.Result"
_CLASS = "vtkMRMLScriptedModuleNode"
NODES = {
    "deviationVolume": "deviation",
    "truthVolume": "truth",
    "differenceVolume": "difference",
    "metricsTable": "metricsTable",
    "samplesBrowser": "samples",
}
"""Parameters that hold a node, here and in the module's parameter node, and the attribute of
`ReconstructionResult`."""


@parameterNodeWrapper
class StoredResult:
    """The volumes of a run and its record (JSON); see `ReconstructionResult`."""

    volumes: dict[str, vtkMRMLScalarVolumeNode]
    deviationVolume: vtkMRMLScalarVolumeNode
    truthVolume: vtkMRMLScalarVolumeNode
    differenceVolume: vtkMRMLScalarVolumeNode
    metricsTable: vtkMRMLTableNode
    samplesBrowser: vtkMRMLSequenceBrowserNode
    record: str = ""


def write(parameters, result: ReconstructionResult) -> None:
    """Write a result to the parameters of a `StoredResult` or of the module's parameter node."""
    with slicer.util.NodeModify(parameters):
        parameters.volumes = dict(result.volumes)
        for name, attribute in NODES.items():
            parameters.setValue(name, getattr(result, attribute))
        parameters.record = json.dumps(result.record, default=str)


def store(result: ReconstructionResult, name: str):
    """Keep a result in the scene; returns its node, whose name is unique."""
    unique = slicer.mrmlScene.GenerateUniqueName(name)
    node = slicer.mrmlScene.AddNewNodeByClass(_CLASS, unique)
    node.SetAttribute(ATTRIBUTE, "1")
    # The wrapper adds the constructor, which mypy does not know.
    write(StoredResult(node), result)  # type: ignore[call-arg]
    return node


def nodes() -> list:
    """The nodes of all results that still have a volume, in the order of the runs."""
    return [node for node in slicer.util.getNodesByClass(_CLASS) if _isAlive(node)]


def read(node) -> ReconstructionResult:
    """The result of a node."""
    return resultOf(StoredResult(node))  # type: ignore[call-arg]


def nodeOf(result: ReconstructionResult):
    """The node that a result is stored in, or None."""
    wanted = {volume.GetID() for volume in result.volumes.values()}
    return next((node for node in nodes() if wanted & _volumeIds(node)), None)


def _isAlive(node) -> bool:
    if node.GetAttribute(ATTRIBUTE) is None:
        return False
    return any(slicer.mrmlScene.GetNodeByID(name) is not None for name in _volumeIds(node))


def _volumeIds(node) -> set[str]:
    """IDs of the stages' volumes, read without the wrapper: quick."""
    count = int(node.GetParameter("volumes.len") or 0)
    found = (node.GetNodeReferenceID(f"volumes.{index}.1") for index in range(count))
    return {name for name in found if name}
