"""A worker thread and the event queue through which it reports to the main thread.

Independent of Slicer, Qt and MRML. Work runs on the worker's thread and must only compute;
callbacks run where :meth:`Worker.pump` is called, which is the main thread.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any

from AXONReconstructionLib.jobs.garbage import fullCollectionsPutOff


class JobCancelled(RuntimeError):
    """The job was cancelled before or while it was running."""


class Job:
    """A unit of work with its state and, once finished, its result.

    Attributes:
        key: a new job replaces queued jobs with the same key; None never replaces.
        result: the return value of the work; a callback may replace it.
        error: the exception that ended the work, or None.
        details: traceback of `error` as text.
        done: the last callback has been delivered.
    """

    def __init__(self, worker: Worker, work: Callable[[Job], Any], key: object = None) -> None:
        self.key = key
        self.result: Any = None
        self.error: BaseException | None = None
        self.details = ""
        self.done = False
        self._worker = worker
        self._work: Callable[[Job], Any] | None = work
        self._cancel = threading.Event()
        self._ended = threading.Event()
        self._callbacks: dict[str, Callable | None] = {}

    def cancel(self) -> None:
        """Request cancellation; the work stops the next time it checks :meth:`cancelled`."""
        self._cancel.set()
        self._worker._withdraw(self)

    def cancelled(self) -> bool:
        """Whether :meth:`cancel` was called."""
        return self._cancel.is_set()

    def report(self, **payload: Any) -> None:
        """Report progress from the work: queues `onProgress(**payload)` for the main thread."""
        self._worker._post(self, "progress", payload)

    def wait(self, pumpEvents: Callable[[], None] | None = None, timeout: float | None = None):
        """Block the main thread until the job has finished and its callbacks are delivered.

        Args:
            pumpEvents: called about 30 times per second, to keep a window responsive.
            timeout: in seconds.

        Returns:
            The result.

        Raises:
            TimeoutError: the job took longer than `timeout`.
            JobCancelled: the job was cancelled.
            Exception: the exception that ended the work.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while not self.done:
            # Waiting releases the GIL, so that the worker thread can run.
            self._ended.wait(0.03)
            self._worker.pump()
            if pumpEvents is not None:
                pumpEvents()
            if until is not None and time.monotonic() > until and not self.done:
                raise TimeoutError(f"the job did not finish within {timeout:g} seconds")
        if self.error is not None:
            raise self.error
        return self.result


class Worker:
    """A persistent daemon thread that runs jobs one after another.

    The thread starts with the first job and persists, because PyTorch caches its tuning per
    thread.

    Args:
        name: thread name.
        isCancel: whether an exception raised by the work means that it was cancelled.
        pump: delivers the callbacks: its `follow` is called with each job, and its event `news` is
            set when there are events to deliver. Without it, only :meth:`pump` and
            :meth:`Job.wait` deliver.
    """

    def __init__(
        self,
        name: str = "AXON worker",
        isCancel: Callable[[BaseException], bool] | None = None,
        pump: Any = None,
    ) -> None:
        self._name = name
        self._pump = pump
        self._isCancel = isCancel or (lambda error: False)
        self._waiting: deque[Job] = deque()
        self._events: deque[tuple[Job, str, Any]] = deque()
        self._condition = threading.Condition()  # its lock is reentrant
        self._running: Job | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def submit(
        self,
        work: Callable[[Job], Any],
        onProgress: Callable | None = None,
        onDone: Callable[[Any], None] | None = None,
        onError: Callable[[BaseException], None] | None = None,
        onCancelled: Callable[[BaseException | None], None] | None = None,
        key: object = None,
    ) -> Job:
        """Queue a job.

        Args:
            work: called with the job on the worker's thread.
            onProgress: called with the arguments of :meth:`Job.report`.
            onDone: called with the result.
            onError: called with the exception.
            onCancelled: called with the exception that the work raised on cancellation; None if
                it had not started.
            key: queued jobs with the same key are cancelled.
        """
        job = Job(self, work, key)
        job._callbacks = {
            "progress": onProgress,
            "done": onDone,
            "error": onError,
            "cancelled": onCancelled,
        }
        with self._condition:
            for other in [j for j in self._waiting if key is not None and j.key == key]:
                other.cancel()
            self._waiting.append(job)
            if self._thread is None or not self._thread.is_alive() or self._stop.is_set():
                self._stop = threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=(self._stop,), name=self._name, daemon=True
                )
                self._thread.start()
            self._condition.notify_all()
        if self._pump is not None:
            self._pump.follow(self)
        return job

    @property
    def busy(self) -> bool:
        """Whether a job is queued or running, or an event is not yet delivered."""
        with self._condition:
            return bool(self._waiting or self._running is not None or self._events)

    def pump(self) -> int:
        """Call the callbacks of all events since the last call; returns the number of events.

        If callbacks raise, the remaining ones are still called and the first exception is raised
        at the end.
        """
        first: BaseException | None = None
        delivered = 0
        # Only the events queued now: a callback may submit work whose events come later.
        for _count in range(len(self._events)):
            try:
                job, kind, payload = self._events.popleft()
            except IndexError:  # a callback pumped
                break
            delivered += 1
            try:
                self._deliver(job, kind, payload)
            except BaseException as error:
                first = first or error
        if first is not None:
            raise first
        return delivered

    def cancelAll(self) -> None:
        """Cancel the running job and all queued ones."""
        with self._condition:
            for job in [*self._waiting, *([self._running] if self._running else [])]:
                job.cancel()

    def shutdown(self, timeoutSeconds: float = 5.0) -> bool:
        """Cancel all jobs and stop the thread; returns False if it did not stop in time.

        A job submitted later starts a new thread.
        """
        self.cancelAll()
        with self._condition:
            self._stop.set()
            thread = self._thread
            self._condition.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeoutSeconds)
        return thread is None or not thread.is_alive()

    def _deliver(self, job: Job, kind: str, payload: Any) -> None:
        callback = job._callbacks.get(kind)
        try:
            if callback is None:
                return
            if kind == "progress":
                callback(**payload)
            else:
                callback(payload)
        finally:
            if kind != "progress":
                job._callbacks = {}
                job.done = True

    def _post(self, job: Job, kind: str, payload: Any) -> None:
        self._events.append((job, kind, payload))
        if self._pump is not None:
            self._pump.news.set()

    def _withdraw(self, job: Job) -> None:
        """Cancel a queued job immediately, without waiting for the jobs before it."""
        with self._condition:
            if job not in self._waiting:
                return
            self._waiting.remove(job)
            job.error = JobCancelled("The job was cancelled before it started.")
            job._work = None
            self._post(job, "cancelled", None)
            job._ended.set()

    def _run(self, stop: threading.Event) -> None:
        while True:
            with self._condition:
                while not self._waiting and not stop.is_set():
                    self._condition.wait()
                if stop.is_set():  # jobs queued from now on belong to a later thread
                    return
                job = self._waiting.popleft()
                self._running = job
            kind, payload = self._execute(job)
            job._work = None  # its closure may hold large objects
            with self._condition:  # in one step: a worker is busy until its last event is delivered
                if self._running is job:
                    self._running = None
                self._post(job, kind, payload)
            job._ended.set()

    def _execute(self, job: Job) -> tuple[str, Any]:
        """Run a job; returns its final event."""
        assert job._work is not None
        try:
            with fullCollectionsPutOff():
                job.result = job._work(job)
        except BaseException as error:
            job.error = error
            job.details = traceback.format_exc()
            # Keep the traceback but clear its local variables, which may hold device memory.
            traceback.clear_frames(error.__traceback__)
            cancelled = isinstance(error, JobCancelled) or self._isCancel(error)
            return ("cancelled" if cancelled else "error"), error
        return "done", job.result
