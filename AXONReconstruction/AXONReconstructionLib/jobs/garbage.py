"""Full garbage collections are put off while jobs run."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Young collections between two full ones: never reached during a job.
_NEVER = 2**30

_lock = threading.Lock()
_jobs = 0
_thresholds = (0, 0, 0)


@contextmanager
def fullCollectionsPutOff() -> Iterator[None]:
    """While active in any thread, Python collects only young objects of its own accord.

    A full collection visits all objects of Slicer and of the imported libraries while it holds
    Python's lock (GIL), for 0.1 to 0.3 s, and becomes due several times while libraries are
    imported: the panel would stand still although a worker does the work. `gc.collect` still works.
    """
    global _jobs, _thresholds
    with _lock:
        if _jobs == 0:
            _thresholds = gc.get_threshold()
            gc.set_threshold(*_thresholds[:2], _NEVER)
        _jobs += 1
    try:
        yield
    finally:
        with _lock:
            _jobs -= 1
            if _jobs == 0:
                gc.set_threshold(*_thresholds)
