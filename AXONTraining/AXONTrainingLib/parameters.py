"""The parameter node: every choice of the user, saved and restored with the scene."""

from typing import Annotated

from slicer import vtkMRMLScalarVolumeNode, vtkMRMLTableNode
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper

STAGES = ("coarse", "encoder", "prior", "controlnet", "sr")
MAX_INT = 2**31 - 1


@parameterNodeWrapper
class AXONTrainingParameterNode:
    """What to train on what.

    dataPath - folder of a prepared data set, or a JSON list of CTs.
    sourcePath, preparedPath - what to prepare a data set from, and where.
    amount, unit - how long to train.
    batch, realShare - 0 and -1 stand for the preset's own.
    startBundle - folder of a model to begin from; empty begins from random weights.
    extra - more settings, ``key=value``, one a line.
    runPath - the run's folder; exportPath - where a model is made.
    """

    dataPath: str = ""
    sourcePath: str = ""
    preparedPath: str = ""
    stage: Annotated[str, Choice(list(STAGES))] = "coarse"
    preset: Annotated[str, Choice(["preview", "paper"])] = "preview"
    amount: Annotated[int, WithinRange(1, 10_000_000)] = 60
    unit: Annotated[str, Choice(["minutes", "steps"])] = "minutes"
    batch: Annotated[int, WithinRange(0, 256)] = 0
    precision: Annotated[str, Choice(["auto", "32", "bf16-mixed"])] = "auto"
    seed: Annotated[int, WithinRange(0, MAX_INT)] = 0
    realShare: Annotated[int, WithinRange(-1, 100)] = -1
    device: Annotated[str, Choice(["auto", "cuda", "cpu"])] = "auto"
    startBundle: str = ""
    extra: str = ""
    runPath: str = ""
    exportPath: str = ""
    showSamples: bool = True
    sampleVolume: vtkMRMLScalarVolumeNode
    sampleTruth: vtkMRMLScalarVolumeNode
    lossTable: vtkMRMLTableNode
    metricsTable: vtkMRMLTableNode
