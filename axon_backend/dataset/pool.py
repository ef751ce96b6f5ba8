"""The same function on many tasks: in this process, in several, or on a Ray cluster."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import Any, TypeVar

from axon_backend.errors import AxonInputError

Task = TypeVar("Task")
MEMORY_GB = 3.0  # what a worker needs for a large CT
DIED = (
    "its process was killed by the system, most often for lack of memory; run again with "
    "fewer --workers"
)


class WorkerDied(RuntimeError):
    """A worker ended without a result."""


class Pool:
    """Where work is done.

    Args:
        workers: processes; 0 uses this process, for tests and debugging.
        ray: send the work to a Ray cluster instead (``RAY_ADDRESS``, else this machine).
        cancelled: polled while waiting; if True, no further task is started.
    """

    def __init__(
        self, workers: int, ray: bool = False, cancelled: Callable[[], bool] | None = None
    ) -> None:
        self.workers, self.ray = workers, ray
        self.cancelled = cancelled or (lambda: False)

    def map(
        self, function: Callable[[Task], Any], tasks: Iterable[Task]
    ) -> Iterator[tuple[Task, Any]]:
        """(task, result) as they end; a result may be the exception that was raised.

        A task whose process dies is retried once, alone; ``WorkerDied`` is then its result.
        Fewer than all tasks come back when ``cancelled()``.
        """
        tasks = list(tasks)
        if not tasks:
            return
        if self.workers == 0:
            yield from self._here(function, tasks)
        elif self.ray:
            yield from self._on_ray(function, tasks)
        else:
            yield from self._in_processes(function, tasks)

    def _here(
        self, function: Callable[[Task], Any], tasks: list[Task]
    ) -> Iterator[tuple[Task, Any]]:
        for task in tasks:
            if self.cancelled():
                return
            try:
                result = function(task)
            except Exception as error:
                result = error
            yield task, result

    def _in_processes(
        self, function: Callable[[Task], Any], tasks: list[Task]
    ) -> Iterator[tuple[Task, Any]]:
        waiting, lost = list(reversed(tasks)), list[Task]()
        while waiting and not self.cancelled():
            before = len(waiting)
            yield from self._until_broken(function, waiting, self.workers, lost)
            if len(waiting) == before and not self.cancelled():
                raise RuntimeError("worker processes end as soon as they start")
        # Every task that was running when a process died is a suspect: each is retried alone.
        for task in lost:
            if self.cancelled():
                return
            again: list[Task] = []
            yield from self._until_broken(function, [task], 1, again)
            if again:
                yield task, WorkerDied(DIED)

    def _until_broken(
        self, function: Callable[[Task], Any], waiting: list[Task], workers: int, lost: list[Task]
    ) -> Iterator[tuple[Task, Any]]:
        """Work through ``waiting`` from its end until it is empty, the run is cancelled, or a
        process dies; the tasks lost with it are added to ``lost``."""
        pool = ProcessPoolExecutor(
            min(workers, len(waiting)), multiprocessing.get_context("spawn"), initializer=_start
        )
        running: dict[Future[Any], Task] = {}
        ended = broken = False
        try:
            while running or (waiting and not broken):
                # Few are submitted at a time, so that cancelling does not wait for a long queue.
                while waiting and len(running) <= workers and not (broken or self.cancelled()):
                    try:
                        running[pool.submit(function, waiting[-1])] = waiting[-1]
                        waiting.pop()
                    except BrokenProcessPool:
                        broken = True
                if not running:
                    break
                done, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in done:
                    task = running.pop(future)
                    try:
                        result = future.result()
                    except BrokenProcessPool:
                        broken = True
                        lost.append(task)
                        continue
                    except Exception as error:
                        result = error
                    yield task, result
            ended = True
        finally:
            if not ended:  # interrupted: unfinished work is discarded, not waited for
                for process in list((pool._processes or {}).values()):
                    process.terminate()
            pool.shutdown(wait=True, cancel_futures=True)

    def _on_ray(
        self, function: Callable[[Task], Any], tasks: list[Task]
    ) -> Iterator[tuple[Task, Any]]:
        ray = import_ray()
        if not ray.is_initialized():
            ray.init(log_to_driver=False)
        remote = ray.remote(max_retries=1)(function)
        waiting, running = list(reversed(tasks)), dict[Any, Task]()
        while waiting or running:
            room = max(1, int(ray.cluster_resources().get("CPU", 1)))
            while waiting and len(running) < room + 1 and not self.cancelled():
                task = waiting.pop()
                running[remote.remote(task)] = task
            if not running:
                break
            done, _ = ray.wait(list(running), timeout=0.5)
            for reference in done:
                task = running.pop(reference)
                try:
                    result = ray.get(reference)
                except ray.exceptions.WorkerCrashedError:
                    result = WorkerDied(DIED)
                except ray.exceptions.RayTaskError as error:
                    result = error.cause if isinstance(error.cause, Exception) else error
                except Exception as error:
                    result = error
                yield task, result


def import_ray() -> Any:
    """The package.

    Raises:
        AxonInputError: it is not installed.
    """
    try:
        import ray
    except ImportError:
        raise AxonInputError(
            "--ray needs the package ray, which is not installed. Install axon-ct[cluster], or "
            "leave --ray out: --workers and --shard need nothing."
        ) from None
    return ray


def default_workers() -> int:
    """One process per processor, as far as memory allows."""
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


def _start() -> None:
    """At the start of a worker: Ctrl-C is the parent's, with whom the worker ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            connection.wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
