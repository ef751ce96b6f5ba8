"""Runs the backend's `reconstruct` on the worker and stores its results in nodes."""

from __future__ import annotations

import time

import numpy as np

from AXONReconstructionLib.console.reading import viewName
from AXONReconstructionLib.scene import nodes
from AXONReconstructionLib.scene.outputs import Outputs
from AXONReconstructionLib.scene.results import ReconstructionResult
from AXONReconstructionLib.setup import backend


class Stopwatch:
    """Estimates the remaining time of a stage from its completed steps.

    Args:
        clock: monotonic clock, in seconds.
    """

    def __init__(self, clock=time.monotonic) -> None:
        self._clock = clock
        self._stage = ""
        self._began = self._last = clock()

    def secondsLeft(self, stage, step, total):
        """Estimated seconds until the stage ends; None before its first step has finished."""
        now = self._clock()
        if stage != self._stage:
            # A stage that first reports after its first step started when the previous one ended.
            self._stage = stage
            self._began = self._last if step > 0 else now
        self._last = now
        if step <= 0:
            return None
        return max(0.0, (now - self._began) / step * (total - step))


def reconstruct(
    tasks,
    sessions,
    reference,
    inputs,
    pose,
    parameterNode,
    *,
    bundle,
    seed,
    device,
    onProgress=None,
    onStage=None,
    onFinished=None,
    onError=None,
    onCancelled=None,
    **settings,
):
    """See `AXONReconstructionLogic.reconstruct`.

    Args:
        sessions: `Sessions` of the logic.
        reference: `Reference` of the CT, or None.
        inputs: nodes (frontal, lateral, CT); None if absent.
        settings: passed on to the backend.
    """
    frontal, lateral = _xray(inputs[0], "frontal"), _xray(inputs[1], "lateral")
    hasCt = inputs[2] is not None
    outputs = Outputs(inputs, parameterNode, seed, settings.get("samples", 1))
    stopwatch = Stopwatch()

    def work(job):
        session = sessions.get(bundle, device)
        window = session.window
        outputs.bundle = {"name": session.bundle.name, "version": session.bundle.version}

        def progress(stage, step, total, preview=None):
            left = stopwatch.secondsLeft(stage, step, total)
            hu = None
            if preview is not None and onProgress is not None:
                hu = window.to_hu(preview[0, 0].detach().float().cpu()).numpy()
            job.report(stage=stage, step=step, total=total, secondsLeft=left, preview=hu)

        def stageFinished(stage, hu, frame):
            job.report(stage=stage, finished=hu, frame=frame)

        context = backend.load("util.run_context").RunContext(seed, device, progress, job.cancelled)
        found = session.reconstruct(
            frontal,
            lateral,
            ct=None if reference is None else reference.ct,
            pose=pose,
            stage_done=stageFinished,
            context=context,
            **settings,
        )
        if found.cancelled:
            error = backend.load("errors").Cancelled(f"cancelled in stage {found.cancelled}")
            error.finished = found
            raise error
        return found

    def onReport(finished=None, frame=None, **report):
        if finished is not None:
            node = outputs.stage(report["stage"], finished, frame, _inversePose(pose, frame, hasCt))
            if onStage is not None:
                onStage(report["stage"], node)
        elif onProgress is not None:
            onProgress(**report)

    def finish(found, cancelled=False):
        return outputs.all(found, _inversePose(pose, found.frame, hasCt), cancelled)

    def partial(error):
        found = getattr(error, "finished", None)  # the stages that were done by then
        if found is None:
            return None
        result: ReconstructionResult = finish(found, cancelled=True)
        return result

    return tasks.run(
        work,
        finish,
        onProgress=onReport,
        onFinished=onFinished,
        onError=onError,
        onCancelled=onCancelled,
        partial=partial,
    )


def _xray(node, role):
    """The `Radiograph` of a node, or None; one without a stated view is a PA or a left lateral."""
    if node is None:
        return None
    return nodes.radiographOf(node, assumed=viewName("ll" if role == "lateral" else "pa"))


def _inversePose(pose, frame, hasCt):
    """(4, 4) LPS transform from the beam's frame to the CT's; None if they coincide."""
    if pose is None or not hasCt or not pose.moves_patient:
        return None
    return np.linalg.inv(pose.matrix(frame.center_mm))
