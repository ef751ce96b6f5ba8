"""A single reconstruction run, started with the Reconstruct button."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from AXONReconstructionLib.panel.run_plan import acceptedRoles
from AXONReconstructionLib.scene import nodes, volumes


class ReconstructionRun:
    """Runs the logic's `reconstruct` with a parameter node's settings.

    Exactly one of `finished`, `cancelled` and `failed` is called, on the main thread.

    Args:
        logic: the module's logic.
        node: the parameter node.
        stages: names of the stages to run.
        steps: numbers of steps by stage that differ from the model default.
        progress: see the logic's `onProgress`.
        stageFinished: called with a stage's name and its volume node.
        finished: called with the `ReconstructionResult`.
        cancelled: called with the result of the finished stages, or None.
        failed: called with the exception.
    """

    def __init__(
        self,
        logic,
        node,
        stages: tuple[str, ...],
        steps: dict[str, int],
        progress: Callable,
        stageFinished: Callable,
        finished: Callable,
        cancelled: Callable,
        failed: Callable,
    ) -> None:
        self._logic, self._node, self._stages, self._steps = logic, node, stages, steps
        self._progress, self._stageFinished = progress, stageFinished
        self._finished, self._cancelled, self._failed = finished, cancelled, failed
        self._job: Any = None
        self._cancelRequested = False

    def start(self) -> None:
        """Start the run. Callbacks are called later, except for invalid settings.

        Settings and placements are copied: later changes do not affect the run.
        """
        node, logic = self._node, self._logic
        settings = {
            "frontalNode": node.frontal,
            "lateralNode": node.lateral,
            "ctNode": node.groundTruth,
            "bundle": node.bundle or None,
            "stages": self._stages,
            "steps": self._steps or None,
            "seed": node.seed,
            "samples": node.samples,
            "device": node.device,
            "register": node.registerAutomatically,
        }
        accepted = acceptedRoles(node)
        try:
            if node.groundTruth is not None:
                settings["pose"] = logic.poseOf(node)
            placements = {role: _placementOf(getattr(node, role)) for role in accepted}
        except Exception as error:
            self._failed(error)
            return
        if not placements:
            self._run(settings)
            return
        # Accepted placements are expressed in the thorax frame, which is found on the worker.
        self._try(
            lambda: logic.frameOf(
                settings["ctNode"],
                settings["bundle"],
                onFinished=lambda frame: self._withFrame(frame, placements, settings),
                onError=self._failed,
                onCancelled=self._cancelled,
            )
        )

    def cancel(self) -> None:
        """Cancel after the current step."""
        self._cancelRequested = True
        if self._job is not None:
            self._job.cancel()

    def _withFrame(self, frame, placements, settings) -> None:
        if self._cancelRequested:
            self._cancelled(None)
            return
        try:
            matrices = {
                role: nodes.matrixOfPlace(ijkToWorld, frame, view)
                for role, (ijkToWorld, view) in placements.items()
            }
        except Exception as error:
            self._failed(error)
            return
        self._run({**settings, "accepted": matrices})

    def _run(self, settings) -> None:
        self._try(
            lambda: self._logic.reconstruct(
                **settings,
                parameterNode=self._node,
                onProgress=self._progress,
                onStage=self._stageFinished,
                onFinished=self._finished,
                onError=self._failed,
                onCancelled=self._cancelled,
            )
        )

    def _try(self, begin: Callable) -> None:
        try:
            self._job = begin()
        except Exception as error:
            self._failed(error)
            return
        if self._cancelRequested:
            self._job.cancel()


def _placementOf(xray) -> tuple:
    """The IJK-to-world matrix of an X-ray, and its view."""
    return volumes.ijkToWorld(xray), nodes.radiographOf(xray).view
