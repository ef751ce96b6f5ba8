"""Output nodes of a reconstruction."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from AXONReconstructionLib.scene import case_folder, nodes, samples, stored_results
from AXONReconstructionLib.scene.results import ReconstructionResult, metricsByStage, nameOf
from AXONReconstructionLib.scene.volumes import ijkToWorld, setAttributes
from AXONReconstructionLib.setup import backend


class Outputs:
    """Creates the output nodes of one run, in a folder of their own, and keeps them as a result of
    the scene. The nodes of earlier runs are not changed.

    Args:
        inputs: the nodes (frontal, lateral, CT); None if absent.
        parameterNode: receives the result, or None.
        seed, samples: of the run.

    Attributes:
        bundle: {"name", "version"} of the model; set it before the first stage ends.
    """

    def __init__(self, inputs, parameterNode=None, seed: int = 0, samples: int = 1) -> None:
        self._parameterNode = parameterNode
        self._key = " ".join(n.GetID() if n is not None else "-" for n in inputs)
        self._case = next((n.GetName() for n in inputs if n is not None), "")
        self._views = 1 if inputs[1] is None else 2
        self._run = {"seed": seed, "samples": samples}
        self.bundle: dict[str, str] = {}
        self._made: dict = {}
        self._folder: int | None = None

    @property
    def name(self) -> str:
        """The run: views, seed, samples, model."""
        return nameOf({**self._run, "bundle": self.bundle}, self._views)

    def stage(self, stage, hu, frame, inversePose):
        """The node of a finished stage's volume."""
        return self._volume(("volumes", stage), f"AXON {stage}", stage, hu, frame, inversePose)

    def all(self, found, inversePose, cancelled: bool = False) -> ReconstructionResult:
        """All nodes of the backend's `Reconstruction`.

        Args:
            cancelled: an earlier result stays in the parameter node.
        """
        last, record = found.final_stage, found.record
        result = ReconstructionResult(
            {
                stage: self.stage(stage, hu, found.frame, inversePose)
                for stage, hu in found.volumes.items()
            },
            record=record,
            cancelled=cancelled,
        )

        def more(parameter, title, hu):
            if hu is None:
                return None
            return self._volume((parameter,), title, last, hu, found.frame, inversePose)

        result.deviation = more(
            "deviationVolume", _("AXON standard deviation"), found.deviation.get(last)
        )
        truth = found.truth.get(last)
        if truth is not None:
            result.truth = self._truth(last, truth, found.frame, inversePose)
            result.difference = more(
                "differenceVolume", _("AXON difference from the CT"), found.volume - truth
            )
        result.metricsTable = self._table(metricsByStage(record))
        if found.samples is not None:
            result.samples, sequence = samples.browserOf(
                found.samples, result.volume, self._named(_("AXON samples"))
            )
            case_folder.put(sequence, self._runFolder())
        made = [*result.volumes.values(), result.deviation, result.truth, result.difference,
                result.metricsTable]  # fmt: skip
        for node in filter(None, made):
            setAttributes(
                node,
                Bundle="{name} {version} {sha256}".format(**record["bundle"]),
                Seed=record["seed"],
                Version=record["software"]["axon"],
            )
        title = _("{run} (cancelled)").format(run=self.name) if cancelled else self.name
        stored_results.store(result, title)
        node = self._parameterNode
        if node is not None and cancelled and any(node.volumes.values()):
            node.parameterNode.Modified()  # there is another result to choose from
        elif node is not None:
            stored_results.write(node, result)
        return result

    def _truth(self, stage, hu, frame, inversePose):
        """The CT in the frame: that of an earlier run where it is the same, else a new one."""
        for node in stored_results.nodes():
            known = stored_results.read(node).truth
            if known is None or known.GetAttribute("AXON.Inputs") != self._key:
                continue
            same = np.array_equal(slicer.util.arrayFromVolume(known), hu)
            if same and np.allclose(
                ijkToWorld(known), nodes.frameToRas(hu.shape[0], frame, inversePose)
            ):
                return known
        title = _("CT in the thorax frame")
        made = self._volume(("truthVolume",), title, stage, hu, frame, inversePose)
        made.SetName(slicer.mrmlScene.GenerateUniqueName(f"{title} ({self._case})"))
        case_folder.put(made, self._caseFolder())  # of all runs of the case
        return made

    def _volume(self, key, title, stage, hu, frame, inversePose):
        node = self._made.get(key)
        if node is not None and not slicer.mrmlScene.IsNodePresent(node):
            node = None
        isNew = node is None
        # The user may have renamed it.
        name = self._named(title) if node is None else node.GetName()
        node = nodes.volumeNode(hu, frame, name, inversePose, node)
        setAttributes(
            node,
            Stage=stage,
            ResearchUseOnly=backend.load().DISCLAIMER,
            Inputs=self._key,
        )
        if isNew:
            case_folder.put(node, self._runFolder())
        self._made[key] = node
        return node

    def _table(self, metrics):
        """Table with one row per stage (see `metricsByStage`); None without metrics."""
        if not metrics:
            return None
        node = slicer.mrmlScene.AddNewNodeByClass(
            "vtkMRMLTableNode", self._named(_("AXON metrics"))
        )
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
        case_folder.put(node, self._runFolder())
        return node

    def _named(self, title: str) -> str:
        return f"{title}, {self.name} ({self._case})" if self._case else f"{title}, {self.name}"

    def _caseFolder(self) -> int:
        return case_folder.caseFolder(self._key, _("AXON: {case}").format(case=self._case))

    def _runFolder(self) -> int:
        if self._folder is None:
            self._folder = case_folder.runFolder(self._caseFolder(), self.name)
        return self._folder
