"""The parameter node: all user settings, saved and restored with the scene."""

from typing import Annotated

from slicer import vtkMRMLScalarVolumeNode, vtkMRMLTableNode
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper

MAX_INT = 2**31 - 1


@parameterNodeWrapper
class AXONTrainingParameterNode:
    """Settings of data, training, run and export.

    method, stage, preset - the method, and which of its trainings with which of its presets; empty,
    or a name that the method does not have, is the first.
    dataPath - prepared data set folder, or a JSON list of CTs.
    sourcePath, preparedPath - source and output of the data preparation.
    amount, unit - duration of the training.
    batch, realShare - batch size and percentage of real X-rays; 0 and -1 = preset default.
    startBundle - model whose weights initialise the networks; empty = random initialisation.
    extra - further settings, ``key=value``, one per line.
    runPath - run folder; exportPath - folder of the exported model.
    """

    dataPath: str = ""
    sourcePath: str = ""
    preparedPath: str = ""
    method: str = ""
    stage: str = ""
    preset: str = ""
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
