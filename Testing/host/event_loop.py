"""Qt's event loop, as the host runs it and as Slicer does.

PySide6 releases Python's global interpreter lock (GIL) while Qt works, so that other Python threads
run. Slicer's main thread keeps it: PythonQt releases it only with its thread support, which Slicer
does not enable. A thread of a module then runs only while the main thread waits in Python.
"""

import contextlib
import ctypes
import sys
import time
from pathlib import Path

from PySide6 import QtCore

# QCoreApplication::processEvents(QFlags<QEventLoop::ProcessEventsFlag>), QThread::msleep(unsigned
# long): library in the folder of PySide6, and the names that C++ compilers give them.
_GNU = (
    "_ZN16QCoreApplication13processEventsE6QFlagsIN10QEventLoop17ProcessEventsFlagEE",
    "_ZN7QThread6msleepEm",
)
_MICROSOFT = (
    "?processEvents@QCoreApplication@@SAXV?$QFlags@W4ProcessEventsFlag@QEventLoop@@@@@Z",
    "?msleep@QThread@@SAXK@Z",
)
_QT_CORE = {
    "linux": ("Qt/lib/libQt6Core.so.6", _GNU),
    "darwin": ("Qt/lib/QtCore.framework/Versions/A/QtCore", _GNU),
    "win32": ("Qt6Core.dll", _MICROSOFT),
}
# No thread gets the GIL from one that runs Python code: only a wait hands it over. So a thread that
# nobody waits for does not get on at all, however slow the computer is.
_SWITCH_SECONDS = 600.0
_PAUSE_MS = 2

_held = None  # the two functions while the GIL is held


@contextlib.contextmanager
def gil_held():
    """A context in which the main thread holds the GIL while Qt works or is idle."""
    global _held
    library, (events, sleep) = _QT_CORE[sys.platform]
    # PyDLL: a call does not release the GIL.
    qt_core = ctypes.PyDLL(str(Path(QtCore.__file__).parent / library))
    functions = getattr(qt_core, events), getattr(qt_core, sleep)
    functions[0].argtypes, functions[1].argtypes = (ctypes.c_int,), (ctypes.c_ulong,)
    for function in functions:
        function.restype = None
    before, interval = _held, sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    _held = functions
    try:
        yield
    finally:
        _held = before
        sys.setswitchinterval(interval)


def process_events(seconds=0.0):
    """Process events for this many seconds (at least once)."""
    end = time.monotonic() + seconds
    while True:
        if _held is None:
            QtCore.QCoreApplication.processEvents()
            QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.DeferredDelete)
        else:
            _held[0](0)  # QEventLoop::AllEvents
        left = end - time.monotonic()
        if left <= 0:
            return
        if _held is None:
            time.sleep(min(0.01, left))
        else:
            _held[1](_PAUSE_MS)


def wait_until(condition, seconds=30.0):
    """Process events until a condition holds; False on timeout."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        process_events(0.02)
    return True
