"""Jobs of the logic: their worker, their callbacks, and the scene's life."""

from __future__ import annotations

import weakref

import slicer

from AXONReconstructionLib.jobs import pump
from AXONReconstructionLib.jobs.worker import Job, JobCancelled, Worker
from AXONReconstructionLib.setup import backend


class Tasks:
    """Runs work for one logic and delivers the results on the main thread.

    Observes the scene's closing: then every job is cancelled, and a result that still arrives is
    dropped (its `onCancelled` is called with None).

    Args:
        onSceneClose: called when the scene closes.
    """

    def __init__(self, onSceneClose=None) -> None:
        self._onSceneClose = onSceneClose
        self.worker = Worker(isCancel=backend.isCancel, pump=pump.shared())
        self._generation = 0
        self._scene = slicer.mrmlScene
        # The scene must not keep a logic alive that nobody holds any more.
        this = weakref.ref(self)
        self._tag = self._scene.AddObserver(
            slicer.vtkMRMLScene.StartCloseEvent,
            lambda caller, event: this() is not None and this().forgetScene(),
        )

    @property
    def busy(self) -> bool:
        """A job waits, runs, or is not delivered yet."""
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
        """Run `work(job)` on the worker; then `finish(raw)` on the main thread makes the result.

        Args:
            onProgress: called with what the work reports.
            onFinished: makes the call return a `Job` at once; without it, it waits.
            partial: partial(exception or None) makes what `onCancelled` gets, on the main thread.
            key: latest wins among waiting jobs.
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
                job.error = JobCancelled("The scene was closed before the job ended.")
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
            if not current():  # nobody wants to hear of a scene that is gone
                cancelled(None)
            elif onError is not None:
                onError(error)

        job = self.worker.submit(work, progress, done, failed, cancelled, key)
        if onFinished is not None:
            return job
        return self.wait(job)

    def wait(self, job: Job):
        """Wait for a job while the window stays alive; its result, or raises its error."""
        application = getattr(slicer, "app", None)
        return job.wait(None if application is None else application.processEvents)

    def cancelAll(self) -> None:
        """Cancel every job."""
        self.worker.cancelAll()

    def forgetScene(self) -> None:
        """Cancel every job and drop what arrives of them."""
        self._generation += 1
        self.worker.cancelAll()
        if self._onSceneClose is not None:
            self._onSceneClose()

    def cleanup(self) -> None:
        """Cancel everything, end the thread, and stop watching the scene."""
        self.forgetScene()
        self.worker.shutdown(5.0)
        self.worker.pump()
        pump.shared().leave(self.worker)
        if self._tag is not None:
            self._scene.RemoveObserver(self._tag)
            self._tag = None
