"""Jobs of the logic: their worker, their callbacks, and handling of scene closing."""

from __future__ import annotations

import weakref

import slicer

from AXONReconstructionLib.jobs import pump
from AXONReconstructionLib.jobs.worker import Job, JobCancelled, Worker
from AXONReconstructionLib.setup import backend


class Tasks:
    """Runs jobs of one logic and delivers their results on the main thread.

    When the scene closes, all jobs are cancelled and results that arrive later are discarded
    (`onCancelled` is called with None).

    Args:
        onSceneClose: called when the scene closes.
    """

    def __init__(self, onSceneClose=None) -> None:
        self._onSceneClose = onSceneClose
        self.worker = Worker(isCancel=backend.isCancel, pump=pump.shared())
        self._generation = 0
        self._scene = slicer.mrmlScene
        # The scene's observer must not keep an otherwise unused logic alive.
        this = weakref.ref(self)

        def sceneClosing(caller, event):
            tasks = this()
            if tasks is not None:
                tasks.forgetScene()

        self._tag = self._scene.AddObserver(slicer.vtkMRMLScene.StartCloseEvent, sceneClosing)

    @property
    def busy(self) -> bool:
        """Whether a job is queued, running, or not yet delivered."""
        return self.worker.busy

    def run(
        self,
        work,
        finish=None,
        onProgress=None,
        onFinished=None,
        onError=None,
        onCancelled=None,
        partial=None,
        key=None,
    ):
        """Run `work(job)` on the worker, then `finish(raw)` on the main thread to build the result.

        Args:
            onProgress: called with the work's progress reports.
            onFinished: if given, the call returns a `Job` immediately; otherwise it blocks.
            partial: partial(exception or None) builds the argument of `onCancelled`, on the main
                thread.
            key: a new job replaces queued jobs with the same key.
        """
        generation = self._generation

        def current() -> bool:
            return generation == self._generation

        def progress(**payload):
            if onProgress is not None and current():
                onProgress(**payload)

        def cancelled(error):
            rest = partial(error) if partial is not None and current() else None
            if error is not None:
                error.result = rest
            if onCancelled is not None:
                onCancelled(rest)

        def done(raw):
            if not current():
                job.result = None
                job.error = JobCancelled("The scene was closed before the job finished.")
                cancelled(None)
                return
            try:
                job.result = raw if finish is None else finish(raw)
            except Exception as error:
                job.error = error
                failed(error)
                return
            if onFinished is not None:
                onFinished(job.result)

        def failed(error):
            if not current():  # errors of a closed scene are not reported
                cancelled(None)
            elif onError is not None:
                onError(error)

        job = self.worker.submit(work, progress, done, failed, cancelled, key)
        if onFinished is not None:
            return job
        return self.wait(job)

    def wait(self, job: Job):
        """Block until a job ends while keeping the GUI responsive; return or raise its outcome."""
        application = getattr(slicer, "app", None)
        return job.wait(None if application is None else application.processEvents)

    def cancelAll(self) -> None:
        """Cancel all jobs."""
        self.worker.cancelAll()

    def forgetScene(self) -> None:
        """Cancel all jobs and discard their results."""
        self._generation += 1
        self.worker.cancelAll()
        if self._onSceneClose is not None:
            self._onSceneClose()

    def cleanup(self) -> None:
        """Cancel all jobs, stop the thread, and stop observing the scene."""
        self.forgetScene()
        self.worker.shutdown(5.0)
        self.worker.pump()
        pump.shared().leave(self.worker)
        if self._tag is not None:
            self._scene.RemoveObserver(self._tag)
            self._tag = None
