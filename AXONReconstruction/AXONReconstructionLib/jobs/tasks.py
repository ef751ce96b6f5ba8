"""Jobs of the logic: the worker, the pump that delivers their callbacks, and the scene's life."""

from __future__ import annotations

import weakref

import slicer

from AXONReconstructionLib.jobs.worker import Job, JobCancelled, Worker
from AXONReconstructionLib.setup import backend

PUMP_MILLISECONDS = 50


class Tasks:
    """Runs work for one logic and delivers the results on the main thread.

    Observes the scene's closing: then every job is cancelled, and a result that still arrives is
    dropped (its `onCancelled` is called with None).

    Args:
        onSceneClose: called when the scene closes.
    """

    def __init__(self, onSceneClose=None) -> None:
        self._onSceneClose = onSceneClose
        self.worker = Worker(isCancel=backend.isCancel)
        self._generation = 0
        self._timer = None
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
        self._startPump()
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
        """Cancel everything, end the thread, stop the timer and watching the scene."""
        self.forgetScene()
        self.worker.shutdown(5.0)
        self.worker.pump()
        if self._timer is not None:
            self._timer.stop()
        if self._tag is not None:
            self._scene.RemoveObserver(self._tag)
            self._tag = None

    def _startPump(self) -> None:
        """Without Qt (in a bare interpreter) only `wait` and `worker.pump` deliver."""
        if self._timer is None:
            try:
                import qt
            except ImportError:
                return
            self._timer = qt.QTimer()
            self._timer.interval = PUMP_MILLISECONDS
            self._timer.connect("timeout()", self._tick)
        if not self._timer.active:
            self._timer.start()

    def _tick(self) -> None:
        try:
            self.worker.pump()
        finally:
            if not self.worker.busy:
                self._timer.stop()
