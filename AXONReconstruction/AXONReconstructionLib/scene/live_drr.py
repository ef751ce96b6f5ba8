"""Keeps the DRR up to date with the CT, the model and the pose sliders."""

from __future__ import annotations

from collections.abc import Callable

import slicer

from AXONReconstructionLib.scene.placement_state import POSE

PIXELS = 512
DEFAULT_VIEWS = {"frontal": "pa", "lateral": "ll"}


class DrrUpdater:
    """Requests DRRs from the logic; a new request replaces queued ones of the same view.

    Args:
        panel: provides the logic and the parameter node.
        arrived: arrived(role, fast), called when a DRR was stored in the parameter node.
        failed: failed(exception).
    """

    def __init__(self, panel, arrived: Callable, failed: Callable) -> None:
        self._panel, self._arrived, self._failed = panel, arrived, failed
        self._requested: dict = {}
        self._pending: dict = {}

    def request(self, role: str, fast: bool = False) -> bool:
        """Request an up-to-date DRR for a role; False if it is available or already requested.

        Args:
            fast: of downsampled voxels, while a slider moves.
        """
        node = self._panel.parameterNode
        key = (*self._key(node, role), fast)
        present = getattr(node, f"{role}Drr")
        if self._requested.get(role) == key and (present is not None or self._pending.get(role)):
            return False
        self._requested[role] = key
        self._pending[role] = self._pending.get(role, 0) + 1

        def stillWanted() -> bool:
            """Whether the DRR is still useful: one of an older pose is, while a slider moves."""
            self._pending[role] = max(0, self._pending.get(role, 0) - 1)
            return self._panel.parameterNode is not None and (
                self._requested.get(role, ())[:3] == key[:3]
            )

        def currentNode():
            """The node to update; another request may have created it in the meantime."""
            present = self._panel.parameterNode
            return None if present is None else getattr(present, f"{role}Drr")

        def finished(drr):
            useful = stillWanted()
            if currentNode() is not drr:
                if not useful:
                    slicer.mrmlScene.RemoveNode(drr)
                    return
                setattr(self._panel.parameterNode, f"{role}Drr", drr)
            if useful:
                self._arrived(role, fast)

        def error(exception):
            if stillWanted() and self._requested.get(role) == key:
                self._requested.pop(role)
                self._failed(exception)

        def cancelled(_nothing=None):
            stillWanted()
            if self._requested.get(role) == key:
                self._requested.pop(role)

        ct = node.groundTruth
        try:
            self._panel.logic.renderDRR(
                ct,
                key[2],
                pose=None if ct is None else self._panel.logic.poseOf(node),
                size=PIXELS,
                bundle=node.bundle or None,
                fast=fast,
                node=currentNode,
                onFinished=finished,
                onError=error,
                onCancelled=cancelled,
            )
        except Exception as exception:  # an invalid CT raises before any work
            stillWanted()
            self._failed(exception)
        return True

    def clear(self) -> None:
        """Forget pending requests."""
        self._requested.clear()
        self._pending.clear()

    def _key(self, node, role: str) -> tuple:
        """Everything that a DRR depends on."""
        xray, ct = getattr(node, role), node.groundTruth
        view = (xray.GetAttribute("AXON.View") if xray is not None else None) or DEFAULT_VIEWS[role]
        if ct is None:
            return None, node.bundle, view, None
        image = ct.GetImageData()
        voxels = (ct.GetID(), 0 if image is None else image.GetMTime())
        return voxels, "", view, tuple(round(getattr(node, name), 6) for name in POSE)
