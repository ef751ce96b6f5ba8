"""A run of the backend's `reconstruct`: on the worker, with its results as nodes."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import numpy as np

from AXONReconstructionLib import backend, nodes
from AXONReconstructionLib.outputs import Outputs
from AXONReconstructionLib.reading import viewName
from AXONReconstructionLib.results import ReconstructionResult

# The backend keeps its networks for the next run and moves them between devices: two logics must
# not run them at once.
_running = threading.Lock()


class Stopwatch:
    """Says how long a stage will still take, from the steps that it has done.

    Args:
        clock: seconds, growing.
    """

    def __init__(self, clock=time.monotonic) -> None:
        self._clock = clock
        self._stage = ""
        self._began = self._last = clock()

    def secondsLeft(self, stage, step, total):
        """Seconds until the stage ends, or None before its first step is done."""
        now = self._clock()
        if stage != self._stage:
            # A stage that first speaks after its first step began when the one before ended.
            self._stage = stage
            self._began = self._last if step > 0 else now
        self._last = now
        if step <= 0:
            return None
        return max(0.0, (now - self._began) / step * (total - step))


def reconstruct(
    tasks,
    reference,
    inputs,
    pose,
    parameterNode,
    *,
    bundle,
    steps,
    onProgress=None,
    onStage=None,
    onFinished=None,
    onError=None,
    onCancelled=None,
    **settings,
):
    """See `AXONReconstructionLogic.reconstruct`.

    Args:
        reference: of the CT, or None.
        inputs: nodes (frontal, lateral, CT), None where there is none.
        settings: go to the backend as they are.
    """
    frontal, lateral = _xray(inputs[0], "frontal"), _xray(inputs[1], "lateral")
    hasCt = inputs[2] is not None
    outputs = Outputs(inputs, parameterNode)
    stopwatch = Stopwatch()

    def work(job):
        run = backend.load("reconstruct").reconstruct
        model = backend.load("bundle").load_bundle(bundle or None)
        window = _window(model)

        def progress(stage, step, total, preview=None):
            left = stopwatch.secondsLeft(stage, step, total)
            seen = None
            if preview is not None and onProgress is not None:
                seen = window.to_hu(preview[0, 0].detach().float().cpu()).numpy()
            job.report(stage=stage, step=step, total=total, secondsLeft=left, preview=seen)

        def stageDone(stage, hu, frame):
            job.report(stage=stage, finished=hu, frame=frame)

        with _turn(job):
            return run(
                frontal,
                lateral,
                ct=None if reference is None else reference.ct,
                bundle=model,
                steps=steps,
                pose=pose,
                progress=progress,
                stage_done=stageDone,
                cancelled=job.cancelled,
                **settings,
            )

    def heard(finished=None, frame=None, **report):
        if finished is not None:
            node = outputs.stage(report["stage"], finished, frame, _back(pose, frame, hasCt))
            if onStage is not None:
                onStage(report["stage"], node)
        elif onProgress is not None:
            onProgress(**report)

    def finish(found):
        return outputs.all(found, _back(pose, found.frame, hasCt))

    def partial(error):
        found = getattr(error, "finished", None)
        if found is None:
            return None
        result: ReconstructionResult = finish(found)
        result.cancelled = True
        return result

    return tasks.run(
        work,
        finish,
        onProgress=heard,
        onFinished=onFinished,
        onError=onError,
        onCancelled=onCancelled,
        partial=partial,
    )


@contextmanager
def _turn(job):
    """Wait for the run of another logic to end."""
    while not _running.acquire(timeout=0.05):
        if job.cancelled():
            raise backend.load("errors").Cancelled("stopped before the run began")
    try:
        yield
    finally:
        _running.release()


def _xray(node, role):
    """The `Radiograph` of a node; one without a stated view given as lateral is a left lateral."""
    if node is None:
        return None
    try:
        return nodes.radiographOf(node, assumed=viewName("ll" if role == "lateral" else "pa"))
    except backend.load("errors").AxonInputError:
        if role == "frontal" or node.GetAttribute("AXON.View"):
            raise
        return nodes.radiographOf(node, viewName("ll"))  # it may be the view that is missing


def _window(bundle):
    """The HU of the model's -1 and 1."""
    methods = backend.load("methods.axon")
    values = {k: v for k, v in bundle.config.items() if k != "format_version"}
    return methods.AxonConfig.from_dict(values).window


def _back(pose, frame, hasCt):
    """(4, 4) LPS from the beam's frame to the CT's own place; None where they are one."""
    if pose is None or not hasCt or not pose.moves_patient:
        return None
    return np.linalg.inv(pose.matrix(frame.center_mm))
