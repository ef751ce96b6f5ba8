"""The computed radiograph follows the CT, the model and the pose sliders."""

from __future__ import annotations

from collections.abc import Callable

import slicer

from AXONReconstructionLib.scene.placement_state import POSE

FULL_PIXELS, FAST_PIXELS = 512, 256
USUAL_VIEWS = {"frontal": "pa", "lateral": "ll"}


class DrrFollower:
    """Asks the logic for radiographs, the latest wish first, and says when one is there.

    Args:
        panel: gives the logic and the parameter node.
        arrived: arrived(role, fast) when a radiograph has been put into the parameter node.
        failed: failed(exception).
    """

    def __init__(self, panel, arrived: Callable, failed: Callable) -> None:
        self._panel, self._arrived, self._failed = panel, arrived, failed
        self._wanted: dict = {}
        self._onTheWay: dict = {}

    def want(self, role: str, fast: bool = False) -> bool:
        """Ask for a role's radiograph as things stand; False when it is there or on its way.

        Args:
            fast: coarse, while a slider moves.
        """
        node = self._panel.parameterNode
        key = (*self._key(node, role), fast)
        present = getattr(node, f"{role}Drr")
        if self._wanted.get(role) == key and (present is not None or self._onTheWay.get(role)):
            return False
        self._wanted[role] = key
        self._onTheWay[role] = self._onTheWay.get(role, 0) + 1

        def landed() -> bool:
            """Whether it is still of use: an older pose is, while a slider moves."""
            self._onTheWay[role] = max(0, self._onTheWay.get(role, 0) - 1)
            return self._panel.parameterNode is not None and (
                self._wanted.get(role, ())[:3] == key[:3]
            )

        def held():
            """The node to update; another wish may have made it meanwhile."""
            now = self._panel.parameterNode
            return None if now is None else getattr(now, f"{role}Drr")

        def finished(drr):
            wanted = landed()
            if held() is not drr:
                if not wanted:
                    slicer.mrmlScene.RemoveNode(drr)
                    return
                setattr(self._panel.parameterNode, f"{role}Drr", drr)
            if wanted:
                self._arrived(role, fast)

        def error(exception):
            if landed() and self._wanted.get(role) == key:
                self._wanted.pop(role)
                self._failed(exception)

        def cancelled(_nothing=None):
            landed()
            if self._wanted.get(role) == key:
                self._wanted.pop(role)

        ct = node.groundTruth
        try:
            self._panel.logic.renderDRR(
                ct,
                key[2],
                pose=None if ct is None else self._panel.logic.poseOf(node),
                size=FAST_PIXELS if fast else FULL_PIXELS,
                bundle=node.bundle or None,
                fast=fast,
                node=held,
                onFinished=finished,
                onError=error,
                onCancelled=cancelled,
            )
        except Exception as exception:  # a CT that cannot be read says so before any work
            landed()
            self._failed(exception)
        return True

    def forget(self) -> None:
        """What is on its way is no longer wanted."""
        self._wanted.clear()
        self._onTheWay.clear()

    def _key(self, node, role: str) -> tuple:
        """Everything that a radiograph depends on."""
        xray, ct = getattr(node, role), node.groundTruth
        view = (xray.GetAttribute("AXON.View") if xray is not None else None) or USUAL_VIEWS[role]
        if ct is None:
            return None, node.bundle, view, None
        image = ct.GetImageData()
        voxels = (ct.GetID(), 0 if image is None else image.GetMTime())
        return voxels, "", view, tuple(round(getattr(node, name), 6) for name in POSE)
