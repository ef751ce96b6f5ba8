"""One press of the Reconstruct button, from the settings to the end."""

from __future__ import annotations

from collections.abc import Callable

from AXONReconstructionLib.panel import run_plan
from AXONReconstructionLib.scene import nodes
from AXONReconstructionLib.scene.volumes import ijkToWorld


class ReconstructionRun:
    """Runs the logic's `reconstruct` with a parameter node's settings.

    Exactly one of `finished`, `cancelled` and `failed` is called, on the main thread.

    Args:
        logic: the module's logic.
        node: the parameter node.
        progress: called as the logic's `onProgress`.
        stageDone: called with a stage's name and its volume node.
        finished: called with the `ReconstructionResult`.
        cancelled: called with the result of the finished stages, or None.
        failed: called with the exception.
    """

    def __init__(
        self,
        logic,
        node,
        progress: Callable,
        stageDone: Callable,
        finished: Callable,
        cancelled: Callable,
        failed: Callable,
    ) -> None:
        self._logic, self._node = logic, node
        self._progress, self._stageDone = progress, stageDone
        self._finished, self._cancelled, self._failed = finished, cancelled, failed
        self._job = None
        self._stopped = False

    def start(self) -> None:
        """Begin; the callbacks come later, an error of the settings at once.

        The settings and places of this moment hold, whatever is changed or deleted from now on.
        """
        node, logic = self._node, self._logic
        settings = {
            "frontalNode": node.frontal,
            "lateralNode": node.lateral,
            "ctNode": node.groundTruth,
            "bundle": node.bundle or None,
            "stages": run_plan.stagesOf(node),
            "steps": run_plan.stepsOf(node) or None,
            "seed": node.seed,
            "samples": node.samples,
            "device": node.device,
            "register": node.registerAutomatically,
        }
        accepted = run_plan.acceptedRoles(node)
        try:
            if node.groundTruth is not None:
                settings["pose"] = logic.poseOf(node)
            places = {role: _placeOf(getattr(node, role)) for role in accepted}
        except Exception as error:
            self._failed(error)
            return
        if not places:
            self._run(settings)
            return
        # The accepted places are told in the thorax frame, and that is searched in the CT.
        self._try(
            lambda: logic.frameOf(
                settings["ctNode"],
                settings["bundle"],
                onFinished=lambda frame: self._withFrame(frame, places, settings),
                onError=self._failed,
                onCancelled=self._cancelled,
            )
        )

    def cancel(self) -> None:
        """Stop after the present step."""
        self._stopped = True
        if self._job is not None:
            self._job.cancel()

    def _withFrame(self, frame, places, settings) -> None:
        if self._stopped:
            self._cancelled(None)
            return
        try:
            matrices = {
                role: nodes.matrixOfPlace(place, frame, view)
                for role, (place, view) in places.items()
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
                onStage=self._stageDone,
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
        if self._stopped:
            self._job.cancel()


def _placeOf(xray):
    """Where an X-ray lies, and its view."""
    return ijkToWorld(xray), nodes.radiographOf(xray).view
