"""Output nodes of a reconstruction."""

from __future__ import annotations

import json

import slicer
import vtk
from slicer.i18n import tr as _

from AXONReconstructionLib.scene import nodes
from AXONReconstructionLib.scene.results import ReconstructionResult, metricsByStage
from AXONReconstructionLib.scene.volumes import setAttributes
from AXONReconstructionLib.setup import backend


class Outputs:
    """Creates the output nodes and stores them in the parameter node.

    Nodes that the parameter node references from the same inputs are updated; nodes from other
    inputs stay in the scene unchanged, and new ones replace them in the parameter node.

    Args:
        inputs: the nodes (frontal, lateral, CT); None if absent.
        parameterNode: receives the results, or None.
    """

    def __init__(self, inputs, parameterNode=None) -> None:
        self._parameterNode = parameterNode
        self._key = " ".join(n.GetID() if n is not None else "-" for n in inputs)
        self._case = next((n.GetName() for n in inputs if n is not None), "")
        self._made: dict = {}

    def stage(self, stage, hu, frame, inversePose):
        """The node of a finished stage's volume."""
        return self._volume("volumes", f"AXON {stage}", stage, hu, frame, inversePose)

    def all(self, found, inversePose) -> ReconstructionResult:
        """All nodes of the backend's `Reconstruction`."""
        volumes = {
            stage: self.stage(stage, hu, found.frame, inversePose)
            for stage, hu in found.volumes.items()
        }
        last = found.final_stage
        more = {}
        for parameter, title, hu in (
            ("deviationVolume", _("AXON standard deviation"), found.deviation.get(last)),
            ("truthVolume", _("AXON ground truth"), found.truth.get(last)),
            (
                "differenceVolume",
                _("AXON difference from the ground truth"),
                found.volume - found.truth[last] if last in found.truth else None,
            ),
        ):
            more[parameter] = (
                None
                if hu is None
                else self._volume(parameter, title, last, hu, found.frame, inversePose)
            )
        table = self._table(metricsByStage(found.record))
        record = found.record
        made = [n for n in (*volumes.values(), *more.values(), table) if n is not None]
        for node in made:
            setAttributes(
                node,
                Bundle="{name} {version} {sha256}".format(**record["bundle"]),
                Seed=record["seed"],
                Version=record["software"]["axon"],
            )
        self._handOver(volumes, more, table, record)
        return ReconstructionResult(
            volumes,
            more["deviationVolume"],
            more["truthVolume"],
            more["differenceVolume"],
            table,
            record,
        )

    def _volume(self, parameter, title, stage, hu, frame, inversePose):
        name = f"{title} ({self._case})" if self._case else title
        key = (parameter, stage) if parameter == "volumes" else (parameter,)
        node = self._reusable(*key)
        if node is not None:
            name = node.GetName()  # it may be numbered, or renamed by the user
        node = nodes.volumeNode(hu, frame, name, inversePose, node)
        setAttributes(
            node,
            Stage=stage,
            ResearchUseOnly=backend.load().DISCLAIMER,
            Inputs=self._key,
        )
        self._made[key] = node
        return node

    def _table(self, metrics):
        """Table with one row per stage (see `metricsByStage`); None without metrics."""
        if not metrics:
            return None
        name = f"AXON metrics ({self._case})" if self._case else "AXON metrics"
        node = self._reusable("metricsTable")
        if node is None:
            node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", name)
        table = vtk.vtkTable()
        stages = vtk.vtkStringArray()
        stages.SetName("stage")
        for stage in metrics:
            stages.InsertNextValue(stage)
        table.AddColumn(stages)
        for key in next(iter(metrics.values())):
            column = vtk.vtkDoubleArray()
            column.SetName(key)
            for row in metrics.values():
                value = row.get(key)
                column.InsertNextValue(float("nan") if value is None else float(value))
            table.AddColumn(column)
        node.SetAndObserveTable(table)
        setAttributes(node, ResearchUseOnly=backend.load().DISCLAIMER, Inputs=self._key)
        self._made["metricsTable",] = node
        return node

    def _reusable(self, parameter, *stage):
        """The node of this run, or the parameter node's from the same inputs, or None."""
        node = self._made.get((parameter, *stage))
        if node is None and self._parameterNode is not None:
            node = self._parameterNode.getValue(parameter)
            if stage:
                node = node.get(*stage)
            if node is not None and node.GetAttribute("AXON.Inputs") != self._key:
                node = None
        alive = node is not None and slicer.mrmlScene.IsNodePresent(node)
        return node if alive else None

    def _handOver(self, volumes, more, table, record) -> None:
        parameterNode = self._parameterNode
        if parameterNode is None:
            return
        with slicer.util.NodeModify(parameterNode):
            # Volumes this run did not produce are from another run: they only stay in the scene.
            parameterNode.volumes = dict(volumes)
            for parameter, node in more.items():
                parameterNode.setValue(parameter, node)
            parameterNode.metricsTable = table
            parameterNode.record = json.dumps(record, default=str)
