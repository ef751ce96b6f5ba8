"""The parameter node: every choice of the user, saved and restored with the scene."""

from typing import Annotated

from slicer import (
    vtkMRMLLinearTransformNode,
    vtkMRMLMarkupsFiducialNode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLTableNode,
)
from slicer.parameterNodeWrapper import Choice, Minimum, WithinRange, parameterNodeWrapper


@parameterNodeWrapper
class AXONReconstructionParameterNode:
    """The settings and results of one case.

    frontal, lateral, groundTruth - the inputs; any may be missing.
    bundle - folder of the model; empty is the one that ships with AXON.
    pose... - how the CT stands in the beam: degrees about the patient's axes, millimetres towards
    the patient's left, back and head, and the tube's distance in millimetres.
    frontalAccepted, lateralAccepted - the present placement is used as it is, without a search.
    coarseSteps, fineSteps - denoising steps; 0 is the model's own number.
    record - JSON of everything known about how the result came to be.
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
    poseSID: Annotated[float, WithinRange(1000, 4000)] = 1800
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
    runFine: bool = True
    runSR: bool = True
    coarseSteps: Annotated[int, WithinRange(0, 1000)] = 0
    fineSteps: Annotated[int, WithinRange(0, 1000)] = 0
    seed: Annotated[int, Minimum(0)] = 0
    samples: Annotated[int, WithinRange(1, 32)] = 1
    registerAutomatically: bool = True
    coarseVolume: vtkMRMLScalarVolumeNode
    fineVolume: vtkMRMLScalarVolumeNode
    srVolume: vtkMRMLScalarVolumeNode
    deviationVolume: vtkMRMLScalarVolumeNode
    truthVolume: vtkMRMLScalarVolumeNode
    differenceVolume: vtkMRMLScalarVolumeNode
    metricsTable: vtkMRMLTableNode
    similarityTable: vtkMRMLTableNode

    shownStage: Annotated[str, Choice(["coarse", "fine", "sr"])] = "sr"
    preset: Annotated[str, Choice(["bone", "lung", "soft", "xray"])] = "lung"
    linkCameras: bool = True
    record: str = ""
