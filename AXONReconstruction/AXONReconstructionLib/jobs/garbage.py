"""Full garbage collections are put off while jobs run, and leave out the libraries."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Young collections between two full ones: never reached during a job.
_NEVER = 2**30
# Modules that must have been imported since the last time; PyTorch alone has more.
_MANY_MODULES = 300

_lock = threading.Lock()
_jobs = 0
_thresholds = (0, 0, 0)
_modules = 0  # when objects were last left out


@contextmanager
def fullCollectionsPutOff() -> Iterator[None]:
    """While active in any thread, Python collects only young objects of its own accord.

    A full collection visits all objects of Slicer and of the imported libraries while it holds
    Python's lock (GIL), for 0.1 to 0.3 s, and becomes due several times while libraries are
    imported: the panel would stand still although a worker does the work. `gc.collect` still works.

    When the last job that was active has imported libraries, later collections leave out what
    exists by then: libraries live as long as Slicer. What has no references left is freed anyway;
    only a cycle of objects which already existed, and dies later, is kept.
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
                _leaveOutLibraries()
                gc.set_threshold(*_thresholds)


def _leaveOutLibraries() -> None:
    global _modules
    if len(sys.modules) - _modules >= _MANY_MODULES:
        _modules = len(sys.modules)
        gc.collect(1)  # young garbage only, so that it is not kept
        gc.freeze()
