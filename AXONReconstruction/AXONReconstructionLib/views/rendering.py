"""Volume rendering: a preset shared by both volumes, one volume in each 3D view."""

from __future__ import annotations

from dataclasses import dataclass

import slicer

PRESET_ATTRIBUTE = "AXON.Look"
LUNGS_ATTRIBUTE = "AXON.LungRegion"


@dataclass(frozen=True)
class Preset:
    """A preset of the Volume Rendering module with a shift of its transfer functions.

    Attributes:
        name: name of the preset in Slicer.
        shiftHU: chosen visually on the shipped case, for CT and reconstruction.
        lungsOnly: crop the margins of the thorax frame, where the skin and the volume's edges
            would occlude the lungs.
    """

    name: str
    shiftHU: float = 0.0
    lungsOnly: bool = False


# CT-Bone starts at -16 HU for contrast-enhanced scans: shifted, it hides muscle and keeps the ribs.
# CT-Soft-Tissue is opaque from -160 HU and shows a dark block; the chest preset shows heart, liver
# and bones in different colours.
PRESETS = {
    "bone": Preset("CT-Bone", 70.0),
    "lung": Preset("CT-Lung", -100.0, lungsOnly=True),
    "soft": Preset("CT-Chest-Contrast-Enhanced", -40.0),
    "xray": Preset("CT-X-ray"),
}

# Cropped for the lung preset: half the margins of the thorax frame around the lungs, in
# millimetres, as (R, L), (P, A), (I, S).
LUNG_MARGINS_MM = ((10.0, 10.0), (24.0, 15.0), (7.0, 10.0))


def presetNode(name: str):
    """The volume property node set to one of :data:`PRESETS`, shared by both volumes.

    Sharing keeps them comparable: changes in the Volume Rendering module apply to both.
    """
    node = _nodeWith("vtkMRMLVolumePropertyNode", PRESET_ATTRIBUTE)
    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumePropertyNode", "AXON rendering")
        node.SetAttribute(PRESET_ATTRIBUTE, "")
    if node.GetAttribute(PRESET_ATTRIBUTE) == name:
        return node
    preset = PRESETS[name]
    logic = slicer.modules.volumerendering.logic()
    source = logic.GetPresetByName(preset.name)
    if source is None:
        raise RuntimeError(f"Slicer has no volume rendering preset {preset.name}.")
    wasModifying = node.StartModify()
    node.CopyParameterSet(source)
    _shift(node, preset.shiftHU)
    node.CalculateEffectiveRange()
    node.SetAttribute(PRESET_ATTRIBUTE, name)
    node.EndModify(wasModifying)
    return node


def renderInView(volume, viewNode, preset: str):
    """Show a volume in one 3D view only; returns its display node.

    Args:
        volume: scalar volume node in HU.
        viewNode: the 3D view node.
        preset: key of :data:`PRESETS`.
    """
    logic = slicer.modules.volumerendering.logic()
    display = logic.GetFirstVolumeRenderingDisplayNode(volume)
    fresh = display is None
    if fresh:
        # Not CreateDefaultVolumeRenderingNodes, which would create another volume property.
        display = logic.CreateVolumeRenderingDisplayNode()
        display.UnRegister(logic)
        display.SetVisibility(False)
        slicer.mrmlScene.AddNode(display)
    display.RemoveAllViewNodeIDs()
    display.AddViewNodeID(viewNode.GetID())
    display.SetAndObserveVolumePropertyNodeID(presetNode(preset).GetID())
    lungs = PRESETS[preset].lungsOnly
    if lungs:
        display.SetAndObserveROINodeID(_lungRegion(volume).GetID())
    display.SetCroppingEnabled(lungs)
    if fresh:
        volume.AddAndObserveDisplayNodeID(display.GetID())
    display.SetVisibility(True)
    return display


def hideOthers(volumes, viewNodes) -> None:
    """Hide all volumes but the given ones in the given 3D views."""
    shown = {volume.GetID() for volume in volumes}
    views = {node.GetID() for node in viewNodes}
    for display in slicer.util.getNodesByClass("vtkMRMLVolumeRenderingDisplayNode"):
        count = display.GetNumberOfViewNodeIDs()
        inViews = {display.GetNthViewNodeID(index) for index in range(count)} & views
        volume = display.GetVolumeNode()
        if inViews and (volume is None or volume.GetID() not in shown):
            display.SetVisibility(False)


def boundsOf(volume) -> list[float]:
    """Bounds of a volume in RAS millimetres: (R min, R max, A min, A max, S min, S max)."""
    bounds = [0.0] * 6
    volume.GetRASBounds(bounds)
    return bounds


def _lungRegion(volume):
    """The bounding box of the lungs within the frame of a volume, as a hidden ROI node."""
    node = _nodeWith("vtkMRMLMarkupsROINode", LUNGS_ATTRIBUTE)
    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "AXON lung region")
        node.SetAttribute(LUNGS_ATTRIBUTE, "1")
        node.CreateDefaultDisplayNodes()
    node.SetDisplayVisibility(False)
    bounds = boundsOf(volume)
    sides = [
        (bounds[2 * i] + low, bounds[2 * i + 1] - high)
        for i, (low, high) in enumerate(LUNG_MARGINS_MM)
    ]
    node.SetCenter(*[(low + high) / 2 for low, high in sides])
    node.SetSize(*[max(high - low, 1.0) for low, high in sides])
    return node


def _shift(property, hounsfield: float) -> None:
    if not hounsfield:
        return
    opacity, colour = property.GetScalarOpacity(), property.GetColor()
    for function, width, add in (
        (opacity, 4, opacity.AddPoint),
        (colour, 6, colour.AddRGBPoint),
    ):
        points = []
        for i in range(function.GetSize()):
            values = [0.0] * width
            function.GetNodeValue(i, values)
            points.append([values[0] + hounsfield, *values[1:]])
        function.RemoveAllPoints()
        for values in points:
            add(*values)


def _nodeWith(className: str, attribute: str):
    nodes = slicer.util.getNodesByClass(className)
    return next((n for n in nodes if n.GetAttribute(attribute) is not None), None)
