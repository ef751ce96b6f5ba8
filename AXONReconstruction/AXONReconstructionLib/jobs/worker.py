"""One thread that computes, and the queue by which the main thread hears of it.

Nothing here knows of Slicer, Qt or MRML. Work runs on the worker's thread and may only compute;
callbacks run where :meth:`Worker.pump` is called, that is on the main thread.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any


class JobCancelled(RuntimeError):
    """The job was cancelled before or while it ran."""


class Job:
    """One piece of work: its state and, when it is over, its result.

    Attributes:
        key: jobs of one key replace each other while they wait; None never does.
        result: what the work returned; a callback may put something better in its place.
        error: the exception that ended the work, or None.
        details: its traceback as text.
        done: the last callback was delivered.
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
        """Ask the work to stop; it ends at its next look at :meth:`cancelled`."""
        self._cancel.set()
        self._worker._withdraw(self)

    def cancelled(self) -> bool:
        """Whether :meth:`cancel` was called."""
        return self._cancel.is_set()

    def report(self, **payload: Any) -> None:
        """Called by the work: `onProgress(**payload)` will be called on the main thread."""
        self._worker._post(self, "progress", payload)

    def wait(self, pumpEvents: Callable[[], None] | None = None, timeout: float | None = None):
        """Wait on the main thread until the job is over and its callbacks are delivered.

        Args:
            pumpEvents: called about 30 times a second, to keep a window alive.
            timeout: seconds.

        Returns:
            The result.

        Raises:
            TimeoutError: it took longer than `timeout`.
            JobCancelled: it was cancelled.
            Exception: whatever ended the work.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while not self.done:
            # The wait lets go of the GIL, so that the worker runs meanwhile.
            self._ended.wait(0.03)
            self._worker.pump()
            if pumpEvents is not None:
                pumpEvents()
            if until is not None and time.monotonic() > until and not self.done:
                raise TimeoutError(f"the job did not end within {timeout:g} seconds")
        if self.error is not None:
            raise self.error
        return self.result


class Worker:
    """A persistent daemon thread that does one job after another.

    The thread starts with the first job. It stays, because PyTorch keeps its tuning by thread.

    Args:
        name: of the thread.
        isCancel: tells which exceptions of the work mean that it stopped as asked.
        pump: delivers the callbacks: it is told to `follow` the worker with each job, and its
            event `news` is set when there is something to deliver. Without it, only
            :meth:`pump` and :meth:`Job.wait` deliver.
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
        self._condition = threading.Condition()  # its lock may be taken twice by one thread
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
            onProgress: called with what the work gave to :meth:`Job.report`.
            onDone: called with the result.
            onError: called with the exception.
            onCancelled: called with the exception by which the work stopped, None when it had not
                begun.
            key: a waiting job of the same key is cancelled: the latest wins.
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
        """A job waits or runs, or an event is not delivered yet."""
        with self._condition:
            return bool(self._waiting or self._running is not None or self._events)

    def pump(self) -> int:
        """Call the callbacks of what happened since the last call; returns how many events.

        An exception of a callback does not keep the others from being called; the first one is
        raised at the end.
        """
        first: BaseException | None = None
        delivered = 0
        # Only what is there now: a callback may submit work whose events are for the next time.
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
        """Cancel the running job and all that wait."""
        with self._condition:
            for job in [*self._waiting, *([self._running] if self._running else [])]:
                job.cancel()

    def shutdown(self, timeoutSeconds: float = 5.0) -> bool:
        """Cancel everything and end the thread; False if it did not end in time.

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
        """A job that still waits ends at once, whatever runs before it."""
        with self._condition:
            if job not in self._waiting:
                return
            self._waiting.remove(job)
            job.error = JobCancelled("The job was cancelled before it began.")
            job._work = None
            self._post(job, "cancelled", None)
            job._ended.set()

    def _run(self, stop: threading.Event) -> None:
        while True:
            with self._condition:
                while not self._waiting and not stop.is_set():
                    self._condition.wait()
                if stop.is_set():  # what waits now belongs to a later thread
                    return
                job = self._waiting.popleft()
                self._running = job
            kind, payload = self._do(job)
            job._work = None  # what it holds may be large
            with self._condition:  # at once: a worker is busy until the last event is delivered
                if self._running is job:
                    self._running = None
                self._post(job, kind, payload)
            job._ended.set()

    def _do(self, job: Job) -> tuple[str, Any]:
        """Run a job; the event that it ends with."""
        assert job._work is not None
        try:
            job.result = job._work(job)
        except BaseException as error:
            job.error = error
            job.details = traceback.format_exc()
            # The lines stay, the variables go: they may hold the device's memory.
            traceback.clear_frames(error.__traceback__)
            stopped = isinstance(error, JobCancelled) or self._isCancel(error)
            return ("cancelled" if stopped else "error"), error
        return "done", job.result
