"""The one place through which every change of a placement goes: watched, undoable, accepted or not.

Whoever moves an X-ray (a search, a hand on a handle, a slider, landmarks, a script) sets the matrix
of its transform node, and whoever turns the CT sets the pose in the parameter node. Both are seen
here: the acceptance falls at once, and when the hand rests, one step of undo is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from AXONReconstructionLib.console.registering import placementOf
from AXONReconstructionLib.scene.image_geometry import (
    fieldOf,
    localCentre,
    matrixOfTransform,
    setMatrix,
)
from AXONReconstructionLib.scene.placement_state import (
    FIELD_ATTRIBUTE,
    OWNER,
    POSE,
    ROLES,
    Snapshot,
    sameField,
    sameNode,
    stampOf,
)
from AXONReconstructionLib.scene.plane_motion import flattened, startPlacement

REST_MILLISECONDS = 400
MOST_STEPS = 100


class Placement(VTKObservationMixin):
    """Watches the transforms and the pose of a parameter node.

    Args:
        moving: called while something moves, with whether the pose did.
        settled: called with a change's name when it has become a step of undo, or was undone.
    """

    def __init__(self, moving: Callable[[bool], None], settled: Callable[[str], None]) -> None:
        VTKObservationMixin.__init__(self)
        self._moving, self._settled = moving, settled
        self._node = None
        self._watched: dict = dict.fromkeys(ROLES)
        self._silent = False
        self._seenPose = tuple(POSE.values())
        self._seen: dict = {}
        self._last = Snapshot()
        self._steps: list[tuple[str, Snapshot]] = []
        self._underWay = ""
        self._rest = qt.QTimer()
        self._rest.setSingleShot(True)
        self._rest.interval = REST_MILLISECONDS
        self._rest.connect("timeout()", self.commit)

    @property
    def undoName(self) -> str:
        """What undo would take back; empty when there is nothing."""
        return self._underWay or (self._steps[-1][0] if self._steps else "")

    @property
    def isMoving(self) -> bool:
        """A change is under way that has not become a step of undo yet."""
        return bool(self._rest.active)

    def watch(self, node) -> None:
        """Follow a parameter node (None: none), the transforms that it names, and its pose."""
        if self._silent:
            return
        transforms = {
            r: getattr(node, f"{r}Transform") if node is not None else None for r in ROLES
        }
        if not sameNode(node, self._node) or transforms != self._watched:
            deleted = [r for r in ROLES if self._watched[r] is not None and transforms[r] is None]
            if node is not None and sameNode(node, self._node):
                self._unaccept(deleted)  # the place that was accepted is gone
            self._node = node
            for role, transform in transforms.items():
                self._follow(role, transform)
            self.forget()
        elif node is not None and self._pose() != self._seenPose:
            self._seenPose = self._pose()
            self._note(_("turning the CT"), ROLES, True)

    def forget(self) -> None:
        """Drop the history and start from what is there."""
        self._rest.stop()
        self._underWay = ""
        self._steps.clear()
        self._last = self._snapshot()
        self._seenPose, self._seen = self._pose(), dict(self._last.matrices)

    def cleanup(self) -> None:
        """Stop watching."""
        self.watch(None)
        self.removeObservers()

    def transformOf(self, role: str):
        """The transform node of a role's X-ray, made when it has none; None without an X-ray."""
        xray = None if self._node is None else getattr(self._node, role)
        if xray is None:
            return None
        present, known = xray.GetParentTransformNode(), getattr(self._node, f"{role}Transform")
        if present is None and known is not None and known.GetAttribute(OWNER) == xray.GetID():
            # The X-ray was corrected: it starts anew, under the transform that it had.
            known.SetAttribute(FIELD_ATTRIBUTE, None)
            present = known
        else:
            present = placementOf(xray)
        if xray.GetParentTransformNode() is not present:
            xray.SetAndObserveTransformNodeID(present.GetID())
        if known is not present:
            setattr(self._node, f"{role}Transform", present)
        return present

    def start(self, role: str) -> np.ndarray | None:
        """(4, 4) start placement of a role; None without an X-ray and its radiograph."""
        if self._node is None:
            return None
        xray, drr = getattr(self._node, role), getattr(self._node, f"{role}Drr")
        if xray is None or drr is None:
            return None
        return startPlacement(localCentre(xray), fieldOf(drr))

    def begin(self, role: str) -> bool:
        """Put an X-ray that has not been placed on this field yet to the start.

        Returns whether it was moved; that is no step of undo: what was before lay elsewhere.
        """
        transform, start = self.transformOf(role), self.start(role)
        if transform is None or start is None:
            return False
        stamp = stampOf(getattr(self._node, f"{role}Drr"))
        if sameField(transform.GetAttribute(FIELD_ATTRIBUTE), stamp):
            return False
        self.commit()
        self._silent = True
        try:
            setMatrix(transform, start)
            transform.SetAttribute(FIELD_ATTRIBUTE, stamp)
            setattr(self._node, f"{role}Accepted", False)
        finally:
            self._silent = False
        self.forget()
        return True

    def set(self, role: str, matrix: np.ndarray) -> None:
        """Move an X-ray; the change is kept when the hand rests or at `commit`."""
        transform = self.transformOf(role)
        if transform is not None:
            setMatrix(transform, matrix)

    def commit(self, name: str = "") -> bool:
        """Keep what has changed since the last step as one step of undo, now.

        Returns whether there was a change.
        """
        self._rest.stop()
        name, self._underWay = name or self._underWay or _("moving the X-ray"), ""
        if self._node is None:
            return False
        self._flatten()
        now = self._snapshot()
        changed = [role for role in ROLES if not now.samePlace(self._last, role)]
        if not changed:
            return False
        self._unaccept(changed)
        self._steps = [*self._steps, (name, self._last)][-MOST_STEPS:]
        self._last = self._snapshot()
        self._settled(name)
        return True

    def undo(self) -> None:
        """Take back the last step, its acceptance included."""
        self.commit()
        if self._steps:
            name, before = self._steps.pop()
            self._restore(before)
            self._settled(_("undo: {name}").format(name=name))

    def reset(self) -> None:
        """All X-rays to the start and the CT as it lay, as one step of undo."""
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
        """The reconstruction may use a role's placement as it is."""
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
        if self._silent:
            return
        # Slicer also tells of a new centre of turning, which moves nothing.
        roles = [r for r in ROLES if self._watched[r] is caller and self._hasMoved(r)]
        if roles:
            self._note(_("moving the X-ray"), roles, False)

    def _hasMoved(self, role: str) -> bool:
        now, seen = matrixOfTransform(self._watched[role]), self._seen.get(role)
        self._seen[role] = now
        return seen is None or not np.allclose(now, seen, atol=1e-9)

    def _note(self, name: str, roles, poseMoved: bool) -> None:
        self._underWay = name
        self._unaccept(roles)
        self._rest.start()
        self._moving(poseMoved)

    def _unaccept(self, roles) -> None:
        for role in roles:
            if getattr(self._node, f"{role}Accepted"):
                setattr(self._node, f"{role}Accepted", False)

    def _flatten(self) -> None:
        """A handle dragged in another view must not tilt a flat picture."""
        self._silent = True
        try:
            for role, transform in self._watched.items():
                start = self.start(role)
                if transform is None or start is None:
                    continue
                present = matrixOfTransform(transform)
                flat = flattened(present, start, fieldOf(getattr(self._node, f"{role}Drr")))
                if not np.allclose(present, flat, atol=1e-6):
                    setMatrix(transform, flat)
                    self._seen[role] = flat
        finally:
            self._silent = False

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
        self._silent = True
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
            self._silent = False
        now = self._snapshot()
        self._seenPose, self._seen = now.pose, dict(now.matrices)
        if not keepLast:
            self._last = now
