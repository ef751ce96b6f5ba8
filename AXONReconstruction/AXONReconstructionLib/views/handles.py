"""Interaction handles in the slice view to translate and rotate an X-ray in its plane."""

from __future__ import annotations

import numpy as np

from AXONReconstructionLib.scene.image_geometry import matrixOfTransform
from AXONReconstructionLib.views import xray_views

RING_PERCENT = 8.0


def showHandles(transform, role: str, visible: bool) -> None:
    """Show or hide a transform's handles, in its role's slice view only."""
    if visible:
        transform.CreateDefaultDisplayNodes()
    display = transform.GetDisplayNode()
    if display is None:
        return
    wasModifying = display.StartModify()
    display.RemoveAllViewNodeIDs()
    sliceNode = xray_views.sliceNode(role)
    if sliceNode is not None:
        display.AddViewNodeID(sliceNode.GetID())
    # By default, handles in a slice view translate and rotate in its plane.
    display.SetEditorTranslationEnabled(True)
    display.SetEditorTranslationSliceEnabled(True)
    display.SetEditorRotationEnabled(True)
    display.SetEditorRotationSliceEnabled(True)
    # Scaling has a slider: handles would scale width and height separately.
    display.SetEditorScalingEnabled(False)
    display.SetEditorScalingSliceEnabled(False)
    # The default ring is as large as the view and would obscure the ribs.
    display.SetInteractionScalePercent(RING_PERCENT)
    display.SetEditorVisibility3D(False)
    display.SetEditorSliceIntersectionVisibility(visible)
    display.SetEditorVisibility(visible)
    display.EndModify(wasModifying)


def handlesShown(transform) -> bool:
    """Whether a transform's handles are visible."""
    display = None if transform is None else transform.GetDisplayNode()
    return display is not None and bool(display.GetEditorVisibility())


def centreHandles(transform, point) -> None:
    """Set the centre of rotation to a (3,) point in world coordinates."""
    inverse = np.linalg.inv(matrixOfTransform(transform))
    transform.SetCenterOfTransformation(*(inverse @ [*point, 1.0])[:3])
