"""State of a placement: its transform node, snapshots for undo, and the field it refers to."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.scene.image_geometry import fieldOf, sizeOf

ROLES = ("frontal", "lateral")
POSE = {
    "poseRotationLR": 0.0,
    "poseRotationAP": 0.0,
    "poseRotationSI": 0.0,
    "poseTranslationX": 0.0,
    "poseTranslationY": 0.0,
    "poseTranslationZ": 0.0,
    "poseSID": 1800.0,
}
FIELD_ATTRIBUTE = "AXON.Field"
OWNER_ATTRIBUTE = "AXON.Placement"
_XRAY_REFERENCE = "AXON.Xray"  # from a placement to its X-ray


@dataclass(frozen=True)
class Snapshot:
    """State of the placements: matrices (4, 4) by role, pose, and acceptance."""

    matrices: dict = field(default_factory=dict)
    pose: tuple = tuple(POSE.values())
    accepted: dict = field(default_factory=dict)

    def samePlace(self, other: Snapshot, role: str) -> bool:
        """Whether a role has the same placement and pose in both."""
        a, b = self.matrices.get(role), other.matrices.get(role)
        if a is None or b is None:
            return a is b and np.allclose(self.pose, other.pose)
        return np.allclose(a, b, atol=1e-6) and np.allclose(self.pose, other.pose)


def sameNode(node, other) -> bool:
    """Whether two wrappers refer to the same parameter node (each access creates a new wrapper)."""
    if node is None or other is None:
        return node is other
    return node.parameterNode is other.parameterNode


def placementTransform(xrayNode):
    """The X-ray's own linear transform, created if needed; transforms of the user are not touched.

    The transform has the attribute AXON.Placement.
    """
    present = xrayNode.GetParentTransformNode()
    # References are updated when nodes are renumbered on scene import; attributes are not.
    if present is not None and present.GetNodeReferenceID(_XRAY_REFERENCE) == xrayNode.GetID():
        return present
    transform = slicer.mrmlScene.AddNewNodeByClass(
        "vtkMRMLLinearTransformNode", _("{name} placement").format(name=xrayNode.GetName())
    )
    transform.SetAttribute(OWNER_ATTRIBUTE, xrayNode.GetID())
    transform.SetNodeReferenceID(_XRAY_REFERENCE, xrayNode.GetID())
    return transform


def stampOf(drr) -> str:
    """Centre and size of a field as text, which is saved with the scene."""
    columns, rows = sizeOf(drr)
    width, height = columns * drr.GetSpacing()[0], rows * drr.GetSpacing()[1]
    return " ".join(f"{value:.2f}" for value in (*fieldOf(drr).centre, width, height))


def sameField(stamp: str | None, other: str) -> bool:
    """Whether two stamps refer to the same field, within one millimetre."""
    if not stamp:
        return False
    return np.allclose(
        [float(v) for v in stamp.split()], [float(v) for v in other.split()], atol=1.0
    )
