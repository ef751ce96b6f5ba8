"""Tracks all changes of the placements, with undo and acceptance.

Everything that moves an X-ray (registration, handles, sliders, landmarks, scripts) sets the matrix
of its transform node; everything that changes the pose of the CT sets it in the parameter node.
Both are observed here: the acceptance is revoked immediately, and once the interaction pauses, an
undo step is recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from AXONReconstructionLib.scene.image_geometry import (
    fieldOf,
    localCentre,
    matrixOfTransform,
    setMatrix,
)
from AXONReconstructionLib.scene.placement_state import (
    FIELD_ATTRIBUTE,
    OWNER_ATTRIBUTE,
    POSE,
    ROLES,
    Snapshot,
    placementTransform,
    sameField,
    sameNode,
    stampOf,
)
from AXONReconstructionLib.scene.plane_motion import flattened, startPlacement

SETTLE_MILLISECONDS = 400
MAX_UNDO_STEPS = 100


class Placement(VTKObservationMixin):
    """Observes the transforms and the pose of a parameter node.

    Args:
        moving: moving(poseMoved), called during a change.
        settled: settled(name), called when a change was recorded as an undo step, or undone.
    """

    def __init__(self, moving: Callable[[bool], None], settled: Callable[[str], None]) -> None:
        VTKObservationMixin.__init__(self)
        self._onMoving, self._onSettled = moving, settled
        self._node: Any = None
        self._watched: dict = dict.fromkeys(ROLES)
        self._ignoreEvents = False
        self._lastPose = tuple(POSE.values())
        self._lastMatrices: dict = {}
        self._last = Snapshot()
        self._steps: list[tuple[str, Snapshot]] = []
        self._pendingName = ""
        self._settleTimer = qt.QTimer()
        self._settleTimer.setSingleShot(True)
        self._settleTimer.interval = SETTLE_MILLISECONDS
        self._settleTimer.connect("timeout()", self.commit)

    @property
    def undoName(self) -> str:
        """Name of the change that undo would revert; empty if there is none."""
        return self._pendingName or (self._steps[-1][0] if self._steps else "")

    def watch(self, node) -> None:
        """Observe a parameter node (or None), the transforms it references, and its pose."""
        if self._ignoreEvents:
            return
        transforms = {
            r: getattr(node, f"{r}Transform") if node is not None else None for r in ROLES
        }
        if not sameNode(node, self._node) or transforms != self._watched:
            deleted = [r for r in ROLES if self._watched[r] is not None and transforms[r] is None]
            if node is not None and sameNode(node, self._node):
                self._unaccept(deleted)  # the accepted placement no longer exists
            self._node = node
            for role, transform in transforms.items():
                self._follow(role, transform)
            self.clearHistory()
        elif node is not None and self._pose() != self._lastPose:
            self._lastPose = self._pose()
            self._changeStarted(_("change the CT pose"), ROLES, True)

    def clearHistory(self) -> None:
        """Clear the undo history and start from the current state."""
        self._settleTimer.stop()
        self._pendingName = ""
        self._steps.clear()
        self._last = self._snapshot()
        self._lastPose, self._lastMatrices = self._pose(), dict(self._last.matrices)

    def cleanup(self) -> None:
        """Stop observing."""
        self.watch(None)
        self.removeObservers()

    def transformOf(self, role: str):
        """The transform node of a role's X-ray, created if needed; None without an X-ray."""
        xray = None if self._node is None else getattr(self._node, role)
        if xray is None:
            return None
        present, known = xray.GetParentTransformNode(), getattr(self._node, f"{role}Transform")
        if (
            present is None
            and known is not None
            and known.GetAttribute(OWNER_ATTRIBUTE) == xray.GetID()
        ):
            # The X-ray was corrected: it is initialised again, with its previous transform node.
            known.SetAttribute(FIELD_ATTRIBUTE, None)
            present = known
        else:
            present = placementTransform(xray)
        if xray.GetParentTransformNode() is not present:
            xray.SetAndObserveTransformNodeID(present.GetID())
        if known is not present:
            setattr(self._node, f"{role}Transform", present)
        return present

    def start(self, role: str) -> np.ndarray | None:
        """(4, 4) initial placement of a role; None without an X-ray and its DRR."""
        if self._node is None:
            return None
        xray, drr = getattr(self._node, role), getattr(self._node, f"{role}Drr")
        if xray is None or drr is None:
            return None
        return startPlacement(localCentre(xray), fieldOf(drr))

    def initialise(self, role: str) -> bool:
        """Set the initial placement of an X-ray that was not placed on this field before.

        Returns:
            Whether it was moved. This is not an undo step, as the previous placement belongs to
            another field.
        """
        transform, start = self.transformOf(role), self.start(role)
        if transform is None or start is None:
            return False
        stamp = stampOf(getattr(self._node, f"{role}Drr"))
        if sameField(transform.GetAttribute(FIELD_ATTRIBUTE), stamp):
            return False
        self.commit()
        self._ignoreEvents = True
        try:
            setMatrix(transform, start)
            transform.SetAttribute(FIELD_ATTRIBUTE, stamp)
            setattr(self._node, f"{role}Accepted", False)
        finally:
            self._ignoreEvents = False
        self.clearHistory()
        return True

    def set(self, role: str, matrix: np.ndarray) -> None:
        """Move an X-ray; the change is recorded after a pause or by `commit`."""
        transform = self.transformOf(role)
        if transform is not None:
            setMatrix(transform, matrix)

    def commit(self, name: str = "") -> bool:
        """Record everything that changed since the last step as one undo step.

        Returns:
            Whether anything changed.
        """
        self._settleTimer.stop()
        name, self._pendingName = name or self._pendingName or _("move the X-ray"), ""
        if self._node is None:
            return False
        self._flatten()
        now = self._snapshot()
        changed = [role for role in ROLES if not now.samePlace(self._last, role)]
        if not changed:
            return False
        self._unaccept(changed)
        self._steps = [*self._steps, (name, self._last)][-MAX_UNDO_STEPS:]
        self._last = self._snapshot()
        self._onSettled(name)
        return True

    def undo(self) -> None:
        """Revert the last step, including its acceptance."""
        self.commit()
        if self._steps:
            name, before = self._steps.pop()
            self._restore(before)
            self._onSettled(_("undo: {name}").format(name=name))

    def reset(self) -> None:
        """Reset all X-rays to their initial placement and the CT to its pose, as one undo step."""
        self.commit()
        starts = {role: self.start(role) for role in ROLES}
        self._restore(
            replace(
                self._last,
                matrices={
                    role: matrix if starts[role] is None else starts[role]
                    for role, matrix in self._last.matrices.items()
                },
                pose=tuple(POSE.values()),
            ),
            keepLast=True,
        )
        self.commit(_("reset"))

    def accept(self, role: str) -> None:
        """Accept a role's placement for the reconstruction."""
        self.commit()
        setattr(self._node, f"{role}Accepted", True)
        self._last = self._snapshot()

    def _follow(self, role: str, transform) -> None:
        old = self._watched[role]
        if old is transform:
            return
        if old is not None:
            self.removeObserver(old, old.TransformModifiedEvent, self._transformed)
        if transform is not None:
            self.addObserver(transform, transform.TransformModifiedEvent, self._transformed)
        self._watched[role] = transform

    def _transformed(self, caller, event) -> None:
        if self._ignoreEvents:
            return
        # The event is also invoked for a new centre of rotation, which moves nothing.
        roles = [r for r in ROLES if self._watched[r] is caller and self._hasMoved(r)]
        if roles:
            self._changeStarted(_("move the X-ray"), roles, False)

    def _hasMoved(self, role: str) -> bool:
        now, seen = matrixOfTransform(self._watched[role]), self._lastMatrices.get(role)
        self._lastMatrices[role] = now
        return seen is None or not np.allclose(now, seen, atol=1e-9)

    def _changeStarted(self, name: str, roles, poseMoved: bool) -> None:
        self._pendingName = name
        self._unaccept(roles)
        self._settleTimer.start()
        self._onMoving(poseMoved)

    def _unaccept(self, roles) -> None:
        for role in roles:
            if getattr(self._node, f"{role}Accepted"):
                setattr(self._node, f"{role}Accepted", False)

    def _flatten(self) -> None:
        """Project placements onto their plane: handles in another view must not tilt the image."""
        self._ignoreEvents = True
        try:
            for role, transform in self._watched.items():
                start = self.start(role)
                if transform is None or start is None:
                    continue
                present = matrixOfTransform(transform)
                flat = flattened(present, start, fieldOf(getattr(self._node, f"{role}Drr")))
                if not np.allclose(present, flat, atol=1e-6):
                    setMatrix(transform, flat)
                    self._lastMatrices[role] = flat
        finally:
            self._ignoreEvents = False

    def _pose(self) -> tuple:
        if self._node is None:
            return tuple(POSE.values())
        return tuple(float(getattr(self._node, name)) for name in POSE)

    def _snapshot(self) -> Snapshot:
        if self._node is None:
            return Snapshot()
        return Snapshot(
            {r: matrixOfTransform(t) for r, t in self._watched.items() if t is not None},
            self._pose(),
            {role: bool(getattr(self._node, f"{role}Accepted")) for role in ROLES},
        )

    def _restore(self, snapshot: Snapshot, keepLast: bool = False) -> None:
        self._ignoreEvents = True
        try:
            for role, matrix in snapshot.matrices.items():
                if self._watched[role] is not None:
                    setMatrix(self._watched[role], matrix)
            with slicer.util.NodeModify(self._node.parameterNode):
                for name, value in zip(POSE, snapshot.pose, strict=True):
                    setattr(self._node, name, value)
                for role, accepted in snapshot.accepted.items():
                    setattr(self._node, f"{role}Accepted", accepted)
        finally:
            self._ignoreEvents = False
        now = self._snapshot()
        self._lastPose, self._lastMatrices = now.pose, dict(now.matrices)
        if not keepLast:
            self._last = now
