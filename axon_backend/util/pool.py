"""Map a function over tasks: in this process, in worker processes, or on a Ray cluster.

A worker receives the function once and keeps it for all its tasks, so a callable object can load
what it needs (a model, a device) with its first task. If a worker dies, its task is retried on
another one; a task over its time limit is stopped together with its worker.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any, Generic, Protocol, TypeVar

from axon_backend.errors import AxonInputError, Unfinished

Task = TypeVar("Task")
MEMORY_GB = 3.0  # that a worker needs for a large CT
DIED = (
    "its process was killed by the system, most often for lack of memory; run again with "
    "fewer --workers"
)
_POLL_SECONDS = 0.5
_FAILED_STARTS = 3  # before the first successful start; then the pool gives up
_READY = "ready"


class WorkerDied(Unfinished):
    """A worker ended without a result."""


class TimedOut(Unfinished):
    """A task took longer than its time limit."""


class Pool:
    """Runs tasks in processes or on a Ray cluster.

    Args:
        workers: number of processes; 0 runs the tasks in this process, for tests and debugging.
        ray: use a Ray cluster instead: its address, or True for the one at ``RAY_ADDRESS`` or, if
            that is not set, on this machine. The number of workers follows the capacity of the
            cluster, also when nodes join or leave.
        cancelled: polled while waiting; if True, no further task is started.
        limit_seconds: time limit per task; ignored for tasks in this process.
        resources: resources per Ray worker, as Ray names them (``num_cpus``, ``num_gpus``).

    Raises:
        AxonInputError: ``ray`` is requested but not installed.
    """

    def __init__(
        self,
        workers: int,
        ray: bool | str = False,
        cancelled: Callable[[], bool] | None = None,
        *,
        limit_seconds: float | None = None,
        resources: dict[str, float] | None = None,
    ) -> None:
        if ray:
            import_ray()  # a missing package is reported before any work
        self.workers, self.ray = workers, ray
        self.cancelled = cancelled or (lambda: False)
        self.limit_seconds = limit_seconds
        self.resources = {"num_cpus": 1.0, **(resources or {})}

    def map(
        self, function: Callable[[Task], Any], tasks: Iterable[Task]
    ) -> Iterator[tuple[Task, Any]]:
        """Yield (task, result) in order of completion; a result may be the exception raised.

        A task whose worker dies is retried once; if that worker dies too, the result is
        ``WorkerDied``. For a task over its time limit it is ``TimedOut``. Once ``cancelled()`` is
        true, tasks that have started are finished and yielded, and the others are not started.
        """
        if self.workers == 0 and not self.ray:
            yield from self._here(function, tasks)
            return
        waiting = deque(_Attempt(task) for task in tasks)
        if not waiting:
            return
        crew: _Crew
        if self.ray:
            crew = _RayCrew(function, self.ray, self.resources)
        else:
            crew = _ProcessCrew(function, min(self.workers, len(waiting)))
        yield from _Shift(crew, waiting, self.cancelled, self.limit_seconds).results()

    def _here(
        self, function: Callable[[Task], Any], tasks: Iterable[Task]
    ) -> Iterator[tuple[Task, Any]]:
        for task in tasks:
            if self.cancelled():
                return
            try:
                result = function(task)
            except Exception as error:
                result = error
            yield task, result


@dataclass
class _Attempt(Generic[Task]):
    """A task, how often its worker died, and when its current attempt began."""

    task: Task
    died: int = 0
    began: float = 0.0


class _Crew(Protocol):
    """Workers of one kind. ``wait`` returns (worker, answer): ``_READY`` once, then results;
    :class:`WorkerDied` if the worker has ended."""

    alone_after_death: bool
    """Whether a task whose worker died is retried with no other worker running, because workers
    share the memory."""

    def room(self) -> int: ...
    def hire(self) -> Any: ...
    def send(self, worker: Any, task: Any) -> None: ...
    def wait(self, workers: Sequence[Any], seconds: float) -> list[tuple[Any, Any]]: ...
    def dismiss(self, worker: Any) -> None: ...


class _Shift(Generic[Task]):
    """One ``Pool.map``: starts workers, hands out tasks and collects results."""

    def __init__(
        self,
        crew: _Crew,
        waiting: deque[_Attempt[Task]],
        cancelled: Callable[[], bool],
        limit: float | None,
    ) -> None:
        self.crew, self.waiting, self.cancelled, self.limit = crew, waiting, cancelled, limit
        self.again: deque[_Attempt[Task]] = deque()
        self.starting: list[Any] = []
        self.idle: list[Any] = []
        self.busy: dict[Any, _Attempt[Task]] = {}
        self.failed_starts: int | None = 0  # None once a worker has started

    def results(self) -> Iterator[tuple[Task, Any]]:
        try:
            while self._hand_out():
                found = self.crew.wait([*self.starting, *self.busy], _POLL_SECONDS)
                for worker, answer in found:
                    if worker in self.starting:
                        self._started(worker, answer)
                    else:
                        yield from self._ended(worker, answer)
                yield from self._overdue()
        finally:  # also when the caller stops iterating: unfinished work is discarded
            for worker in [*self.starting, *self.idle, *self.busy]:
                self.crew.dismiss(worker)

    def _hand_out(self) -> bool:
        """Give tasks to workers; False if nothing is left to do or to wait for."""
        if self.cancelled():
            return bool(self.busy)
        if not (self.waiting or self.busy) and self.again:
            self.waiting, self.again = self.again, deque()
        alone = bool(self.waiting) and self.waiting[0].died > 0 and self.crew.alone_after_death
        room = 1 if alone else self.crew.room()
        while alone and len(self.idle) > 1:
            self.crew.dismiss(self.idle.pop())
        wanted = min(room - len(self.busy), len(self.waiting))
        while len(self.idle) + len(self.starting) < wanted:
            self.starting.append(self.crew.hire())
        while self.waiting and self.idle and len(self.busy) < room:
            worker, attempt = self.idle.pop(), self.waiting.popleft()
            attempt.began = time.monotonic()
            self.busy[worker] = attempt
            self.crew.send(worker, attempt.task)
        return bool(self.busy or self.waiting)

    def _started(self, worker: Any, answer: Any) -> None:
        self.starting.remove(worker)
        if not isinstance(answer, WorkerDied):
            self.failed_starts = None
            self.idle.append(worker)
            return
        self.crew.dismiss(worker)
        if self.failed_starts is not None:
            self.failed_starts += 1
            if self.failed_starts >= _FAILED_STARTS:
                raise RuntimeError(f"worker processes end as soon as they start: {answer}")

    def _ended(self, worker: Any, answer: Any) -> Iterator[tuple[Task, Any]]:
        attempt = self.busy.pop(worker)
        if not isinstance(answer, WorkerDied):
            self.idle.append(worker)
            yield attempt.task, answer
            return
        self.crew.dismiss(worker)
        attempt.died += 1
        if attempt.died > 1:
            yield attempt.task, WorkerDied(DIED)
        else:
            self.again.append(attempt)

    def _overdue(self) -> Iterator[tuple[Task, Any]]:
        if self.limit is None:
            return
        now = time.monotonic()
        for worker, attempt in list(self.busy.items()):
            if now - attempt.began > self.limit:
                del self.busy[worker]
                self.crew.dismiss(worker)
                yield attempt.task, TimedOut(f"it took longer than the limit of {self.limit:g} s")


# -- worker processes ------------------------------------------------------------------------------


@dataclass(eq=False)
class _Process:
    process: Any
    pipe: Any


class _ProcessCrew:
    alone_after_death = True

    def __init__(self, function: Callable[[Any], Any], workers: int) -> None:
        self._function, self._workers = function, workers
        self._context = multiprocessing.get_context("spawn")

    def room(self) -> int:
        return self._workers

    def hire(self) -> _Process:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, self._function))
        process.start()
        theirs.close()
        return _Process(process, ours)

    def send(self, worker: _Process, task: Any) -> None:
        with suppress(OSError):  # the worker has died; wait() reports it
            worker.pipe.send(task)

    def wait(self, workers: Sequence[_Process], seconds: float) -> list[tuple[_Process, Any]]:
        ends = [end for w in workers for end in (w.pipe, w.process.sentinel)]
        ready = connection.wait(ends, seconds)
        found: list[tuple[_Process, Any]] = []
        for worker in workers:
            if worker.pipe in ready:
                try:
                    found.append((worker, worker.pipe.recv()))
                    continue
                except (EOFError, OSError):
                    worker.process.join(_POLL_SECONDS)
            elif worker.process.sentinel not in ready:
                continue
            found.append((worker, WorkerDied(f"exit code {worker.process.exitcode}")))
        return found

    def dismiss(self, worker: _Process) -> None:
        worker.pipe.close()
        worker.process.terminate()
        worker.process.join(10 * _POLL_SECONDS)
        if worker.process.is_alive():  # a long library call delays SIGTERM
            worker.process.kill()
            worker.process.join()


def _work(pipe: Any, function: Callable[[Any], Any]) -> None:
    """Main loop of a worker process, which ends with its parent and leaves Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            connection.wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    pipe.send(_READY)
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        pipe.send(_portable(_result(function, task)))


def _result(function: Callable[[Any], Any], task: Any) -> Any:
    """The value that a function returns, or the exception that it raises."""
    try:
        return function(task)
    except Exception as error:
        return error


def _portable(result: Any) -> Any:
    """The result if it can be pickled, otherwise an error that describes it."""
    try:
        pickle.loads(pickle.dumps(result))
    except Exception as error:
        if isinstance(result, AxonInputError):
            return AxonInputError(str(result))
        return Unfinished(f"{type(result).__name__}: {result} ({error})")
    return result


# -- Ray -------------------------------------------------------------------------------------------


class _Actor:
    """A Ray worker, which lives as long as the program that started it."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def ready(self) -> str:
        return _READY

    def run(self, task: Any) -> Any:
        return _portable(_result(self.function, task))


@dataclass(eq=False)
class _RayWorker:
    actor: Any
    pending: Any


class _RayCrew:
    alone_after_death = False  # each node has its own memory

    def __init__(
        self, function: Callable[[Any], Any], address: bool | str, resources: dict[str, float]
    ) -> None:
        self._ray = import_ray()
        if not self._ray.is_initialized():
            where = {} if address is True else {"address": address}
            try:
                self._ray.init(log_to_driver=False, **where)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise AxonInputError(
                    f"The Ray cluster {address if where else 'on this machine'} cannot be "
                    f"reached: {' '.join(str(error).split())[:200]}"
                ) from error
        self._resources = resources
        self._function = self._ray.put(function)
        self._actor = self._ray.remote(_Actor).options(
            max_restarts=0, num_cpus=resources["num_cpus"], num_gpus=resources.get("num_gpus", 0)
        )

    def room(self) -> int:
        there = self._ray.cluster_resources()
        names = {"num_cpus": "CPU", "num_gpus": "GPU"}
        counts = [there.get(names[k], 0) // v for k, v in self._resources.items() if v > 0]
        return max(1, int(min(counts, default=1)))

    def hire(self) -> _RayWorker:
        actor = self._actor.remote(self._function)
        return _RayWorker(actor, actor.ready.remote())

    def send(self, worker: _RayWorker, task: Any) -> None:
        worker.pending = worker.actor.run.remote(task)

    def wait(self, workers: Sequence[_RayWorker], seconds: float) -> list[tuple[_RayWorker, Any]]:
        of = {worker.pending: worker for worker in workers}
        if not of:
            time.sleep(seconds)
            return []
        done, _ = self._ray.wait(list(of), timeout=seconds)
        return [(of[reference], self._answer(reference)) for reference in done]

    def _answer(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayError as error:  # from the actor, node or object store
            return WorkerDied(" ".join(str(error).split())[:200])

    def dismiss(self, worker: _RayWorker) -> None:
        self._ray.kill(worker.actor)


def import_ray() -> Any:
    """Import Ray.

    Raises:
        AxonInputError: Ray is not installed.
    """
    try:
        import ray
    except ImportError:
        raise AxonInputError(
            "--ray needs the package ray, which is not installed. Install axon-ct[cluster], or "
            "omit --ray: --workers and --shard need no further package."
        ) from None
    return ray


def default_workers() -> int:
    """One process per processor, or fewer if memory is short."""
    try:
        processors = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        processors = os.cpu_count() or 1
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
        with open("/proc/meminfo") as lines:
            free = next(int(w.split()[1]) * 1024 / 1e9 for w in lines if "MemAvailable" in w)
    except (OSError, ValueError, AttributeError, StopIteration):
        free = MEMORY_GB * processors
    return max(1, min(processors, int(free / MEMORY_GB)))
