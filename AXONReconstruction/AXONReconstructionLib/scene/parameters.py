"""The parameter node: all user settings, saved and restored with the scene."""

import json
from typing import Annotated, get_args, get_origin, get_type_hints

from slicer import (
    vtkMRMLLinearTransformNode,
    vtkMRMLMarkupsFiducialNode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLScriptedModuleNode,
    vtkMRMLSequenceBrowserNode,
    vtkMRMLTableNode,
)
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper
from slicer.util import NodeModify

MAX_SEED = 2**31 - 1  # range of a spin box
MAX_STEPS = 1000
MAX_ITEMS = 100  # of a list or dictionary: far more stages than any method has


@parameterNodeWrapper
class AXONReconstructionParameterNode:
    """The settings and results of one case.

    frontal, lateral, groundTruth - the inputs; each is optional.
    bundle - folder of the model; empty is the model that ships with AXON.
    pose... - pose of the CT relative to the beam: degrees about the patient's axes, millimetres
    towards the patient's left, posterior and superior, and the source-to-image distance (mm).
    frontalAccepted, lateralAccepted - the current placement is used without registration.
    skippedStages - stages that the user leaves out; addedStages - those that run although the model
    does not recommend them; all others run if the model recommends them.
    steps - denoising steps by stage, where they differ from the model default.
    volumes - the volumes of the shown result by stage; shownStage - the one in the views, or empty
    for the one that the model recommends.
    deviationVolume - standard deviation over the samples, HU; samplesBrowser - the single samples.
    record - provenance of the shown result (JSON).
    comparedResult - the result beside it (see `stored_results`); None is the CT.
    """

    frontal: vtkMRMLScalarVolumeNode
    lateral: vtkMRMLScalarVolumeNode
    groundTruth: vtkMRMLScalarVolumeNode
    bundle: str = ""

    overlayMode: Annotated[str, Choice(["blend", "checkerboard", "flicker", "difference"])] = (
        "blend"
    )
    overlayOpacity: Annotated[float, WithinRange(0, 100)] = 50
    registerRole: Annotated[str, Choice(["frontal", "lateral"])] = "frontal"
    poseRotationLR: Annotated[float, WithinRange(-30, 30)] = 0
    poseRotationAP: Annotated[float, WithinRange(-30, 30)] = 0
    poseRotationSI: Annotated[float, WithinRange(-30, 30)] = 0
    poseTranslationX: Annotated[float, WithinRange(-100, 100)] = 0
    poseTranslationY: Annotated[float, WithinRange(-100, 100)] = 0
    poseTranslationZ: Annotated[float, WithinRange(-100, 100)] = 0
    poseSID: Annotated[float, WithinRange(800, 4000)] = 1800
    frontalTransform: vtkMRMLLinearTransformNode
    lateralTransform: vtkMRMLLinearTransformNode
    frontalAccepted: bool = False
    lateralAccepted: bool = False
    frontalDrr: vtkMRMLScalarVolumeNode
    lateralDrr: vtkMRMLScalarVolumeNode
    overlayVolume: vtkMRMLScalarVolumeNode
    xrayLandmarks: vtkMRMLMarkupsFiducialNode
    drrLandmarks: vtkMRMLMarkupsFiducialNode

    device: Annotated[str, Choice(["auto", "cuda", "cpu"])] = "auto"
    skippedStages: list[str]
    addedStages: list[str]
    steps: dict[str, int]
    seed: Annotated[int, WithinRange(0, MAX_SEED)] = 0
    samples: Annotated[int, WithinRange(1, 32)] = 1
    registerAutomatically: bool = True
    volumes: dict[str, vtkMRMLScalarVolumeNode]
    deviationVolume: vtkMRMLScalarVolumeNode
    truthVolume: vtkMRMLScalarVolumeNode
    differenceVolume: vtkMRMLScalarVolumeNode
    samplesBrowser: vtkMRMLSequenceBrowserNode
    comparedResult: vtkMRMLScriptedModuleNode
    metricsTable: vtkMRMLTableNode
    similarityTable: vtkMRMLTableNode

    shownStage: str = ""
    preset: Annotated[str, Choice(["bone", "lung", "soft", "xray"])] = "lung"
    record: str = ""


def settingsOf(parameterNode) -> AXONReconstructionParameterNode:
    """The settings in a scene's parameter node. Invalid values, from another version or edited by
    hand, are replaced by their defaults."""
    kinds = get_type_hints(AXONReconstructionParameterNode, include_extras=True)
    with NodeModify(parameterNode):
        for name, kind in kinds.items():
            # Before the wrapper reads it, which would raise on an invalid number.
            if get_origin(kind) in (list, dict):
                name, kind = f"{name}.len", Annotated[int, WithinRange(0, MAX_ITEMS)]
            if not _isUsable(parameterNode.GetParameter(name), name, kind):
                parameterNode.UnsetParameter(name)
        _checkSteps(parameterNode)
        _takeOldVolumes(parameterNode)
    # The wrapper adds the constructor, which mypy does not know.
    return AXONReconstructionParameterNode(parameterNode)  # type: ignore[call-arg]


def _isUsable(text: str, name: str, kind) -> bool:
    """Whether the text of a parameter in the scene is valid; an absent one is empty."""
    plain, *rules = get_args(kind) or (kind,)
    if not text or plain not in (int, float, str):
        return True
    try:
        for rule in rules:
            rule.validate(plain(text))
        plain(text)
        return name != "record" or isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _checkSteps(parameterNode) -> None:
    """Remove the numbers of steps if one of them is invalid, as the wrapper would raise on it."""
    count = int(parameterNode.GetParameter("steps.len") or 0)
    try:
        values = [int(parameterNode.GetParameter(f"steps.{i}.1")) for i in range(count)]
    except ValueError:
        values = [-1]
    if any(not 1 <= value <= MAX_STEPS for value in values):
        parameterNode.UnsetParameter("steps.len")


def _takeOldVolumes(parameterNode) -> None:
    """The results of a scene from before `volumes`, when each stage had a parameter of its own."""
    if parameterNode.GetParameter("volumes.len") not in ("", "0"):
        return
    record = json.loads(parameterNode.GetParameter("record") or "{}")
    stages = [stage["name"] for stage in record.get("stages", ())]
    found = {stage: parameterNode.GetNodeReference(f"{stage}Volume") for stage in stages}
    volumes = {stage: node for stage, node in found.items() if node is not None}
    if not volumes:
        return
    # As the wrapper stores a dictionary.
    for index, (stage, node) in enumerate(volumes.items()):
        parameterNode.SetParameter(f"volumes.{index}.0", stage)
        parameterNode.SetParameter(f"volumes.{index}.1", "")
        parameterNode.SetNodeReferenceID(f"volumes.{index}.1", node.GetID())
    parameterNode.SetParameter("volumes.len", str(len(volumes)))
