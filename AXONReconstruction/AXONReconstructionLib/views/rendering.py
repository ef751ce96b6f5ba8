"""Volume rendering: one look for both volumes, one volume in each 3D view."""

from __future__ import annotations

from dataclasses import dataclass

import slicer

LOOK_ATTRIBUTE = "AXON.Look"
LUNGS_ATTRIBUTE = "AXON.LungRegion"


@dataclass(frozen=True)
class Look:
    """A preset of the Volume Rendering module and how many HU its curves are moved up.

    preset: the name in Slicer's list.
    shiftHU: found by looking at the shipped case, at the true CT and the reconstruction.
    lungsOnly: cut away the margins of the thorax frame, where skin and the picture's border would
        hide what is inside.
    """

    preset: str
    shiftHU: float = 0.0
    lungsOnly: bool = False


# CT-Bone begins at -16 HU for contrast-enhanced scans: moved up, muscle is clear and ribs stay.
# CT-Soft-Tissue is opaque from -160 HU on and shows a dark block; the chest preset shows heart,
# liver and bones in different colours.
LOOKS = {
    "bone": Look("CT-Bone", 70.0),
    "lung": Look("CT-Lung", -100.0, lungsOnly=True),
    "soft": Look("CT-Chest-Contrast-Enhanced", -40.0),
    "xray": Look("CT-X-ray"),
}

# Half of the margins that the thorax frame leaves around the lungs, in millimetres, as (R, L),
# (P, A), (I, S): what is cut away for the lungs.
LUNG_MARGINS_MM = ((10.0, 10.0), (24.0, 15.0), (7.0, 10.0))


def lookNode(name: str):
    """The scene's volume property for one of :data:`LOOKS`, shared by both volumes.

    Sharing is what makes them comparable: also what the user changes in the Volume Rendering
    module holds for both.
    """
    node = _nodeWith("vtkMRMLVolumePropertyNode", LOOK_ATTRIBUTE)
    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumePropertyNode", "AXON rendering")
        node.SetAttribute(LOOK_ATTRIBUTE, "")
    if node.GetAttribute(LOOK_ATTRIBUTE) == name:
        return node
    look = LOOKS[name]
    logic = slicer.modules.volumerendering.logic()
    preset = logic.GetPresetByName(look.preset)
    if preset is None:
        raise RuntimeError(f"Slicer has no volume rendering preset {look.preset}.")
    wasModifying = node.StartModify()
    node.CopyParameterSet(preset)
    _shift(node, look.shiftHU)
    node.CalculateEffectiveRange()
    node.SetAttribute(LOOK_ATTRIBUTE, name)
    node.EndModify(wasModifying)
    return node


def renderInView(volume, viewNode, look: str):
    """Show a volume in one 3D view and in no other; returns its display node.

    Args:
        volume: scalar volume node in HU.
        viewNode: the 3D view node.
        look: one of :data:`LOOKS`.
    """
    logic = slicer.modules.volumerendering.logic()
    display = logic.GetFirstVolumeRenderingDisplayNode(volume)
    fresh = display is None
    if fresh:
        # Not CreateDefaultVolumeRenderingNodes: it would make a volume property of its own.
        display = logic.CreateVolumeRenderingDisplayNode()
        display.UnRegister(logic)
        display.SetVisibility(False)
        slicer.mrmlScene.AddNode(display)
    display.RemoveAllViewNodeIDs()
    display.AddViewNodeID(viewNode.GetID())
    display.SetAndObserveVolumePropertyNodeID(lookNode(look).GetID())
    lungs = LOOKS[look].lungsOnly
    if lungs:
        display.SetAndObserveROINodeID(_lungRegion(volume).GetID())
    display.SetCroppingEnabled(lungs)
    if fresh:
        volume.AddAndObserveDisplayNodeID(display.GetID())
    display.SetVisibility(True)
    return display


def hide(volume) -> None:
    """Take a volume out of the 3D views."""
    if volume is None:
        return
    display = slicer.modules.volumerendering.logic().GetFirstVolumeRenderingDisplayNode(volume)
    if display is not None:
        display.SetVisibility(False)


def boundsOf(volume) -> list[float]:
    """The volume's box in RAS millimetres: (R min, R max, A min, A max, S min, S max)."""
    bounds = [0.0] * 6
    volume.GetRASBounds(bounds)
    return bounds


def _lungRegion(volume):
    """The box around the lungs that the frame of a volume was made of, as a hidden ROI node."""
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
