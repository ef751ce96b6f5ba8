"""What a placement is, so that it can be kept, compared and found again."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

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
OWNER = "AXON.Placement"


@dataclass(frozen=True)
class Snapshot:
    """Everything that a placement is: matrices (4, 4) by role, pose, what was accepted."""

    matrices: dict = field(default_factory=dict)
    pose: tuple = tuple(POSE.values())
    accepted: dict = field(default_factory=dict)

    def samePlace(self, other: Snapshot, role: str) -> bool:
        """Whether a role's X-ray lies the same over the same radiograph in both."""
        a, b = self.matrices.get(role), other.matrices.get(role)
        if a is None or b is None:
            return a is b and np.allclose(self.pose, other.pose)
        return np.allclose(a, b, atol=1e-6) and np.allclose(self.pose, other.pose)


def sameNode(node, other) -> bool:
    """Whether two wrappers are of one parameter node: Slicer makes a new wrapper each time."""
    if node is None or other is None:
        return node is other
    return node.parameterNode is other.parameterNode


def stampOf(drr) -> str:
    """Where and how large a field is, in words that are saved with the scene."""
    columns, rows = sizeOf(drr)
    width, height = columns * drr.GetSpacing()[0], rows * drr.GetSpacing()[1]
    return " ".join(f"{value:.2f}" for value in (*fieldOf(drr).centre, width, height))


def sameField(stamp: str | None, other: str) -> bool:
    """Whether two stamps mean the same field; a millimetre does not matter."""
    return bool(stamp) and np.allclose(
        [float(v) for v in stamp.split()], [float(v) for v in other.split()], atol=1.0
    )
