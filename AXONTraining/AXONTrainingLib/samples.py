"""Reconstructions of validation patients during training, in the slice views."""

from __future__ import annotations

from pathlib import Path

import slicer
from slicer.i18n import tr as _


class Samples:
    """Two volumes of the scene: the latest sample and its CT."""

    def __init__(self) -> None:
        self._shown: tuple | None = None
        self._viewsFitted = False

    def update(self, parameterNode, sample: dict | None) -> bool:
        """Load a new sample into the scene; returns whether there was one.

        Args:
            sample: the latest sample event of the run, or None.
        """
        if sample is None:
            return False
        files = sample.get("files") or {}
        key = (sample.get("case"), sample.get("step"), files.get("prediction"))
        names = {"sampleVolume": "prediction", "sampleTruth": "truth"}
        paths = {node: Path(str(files.get(name, ""))) for node, name in names.items()}
        if key == self._shown or not paths["sampleVolume"].is_file():
            return False
        self._shown = key
        titles = {
            "sampleVolume": _("AXON sample of {case}, step {step}"),
            "sampleTruth": _("CT of {case}"),
        }
        for name, path in paths.items():
            if path.is_file():
                node = getattr(parameterNode, name)
                title = titles[name].format(case=sample.get("case"), step=sample.get("step"))
                setattr(parameterNode, name, _read(path, title, node))
        return True

    def show(self, parameterNode, fade: float) -> None:
        """Show the sample in the slice views, with the CT at opacity ``fade``, 0 to 1."""
        volume, truth = parameterNode.sampleVolume, parameterNode.sampleTruth
        if volume is None:
            return
        from AXONReconstructionLib.views import slices

        slices.showLayers(volume, truth, fade)
        if not self._viewsFitted:
            slices.fitViews(volume)
            self._viewsFitted = True

    def forget(self) -> None:
        """Reset when the scene closes or another run is monitored."""
        self._shown = None
        self._viewsFitted = False


def _read(path: Path, title: str, node=None):
    """Load a NIfTI file into a volume node, created if needed."""
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    storage.SetSingleFile(True)
    isNew = node is None or node.GetScene() is None
    if isNew:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", title)
    if not storage.ReadData(node):
        return node
    node.SetName(title)
    node.SetAttribute("AXON.ResearchUseOnly", "1")
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
    display = node.GetScalarVolumeDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(1600, -200)  # shows both lungs and soft tissue
    return node
