"""A single timer through which the main thread serves all workers.

Slicer's main thread holds Python's global interpreter lock (GIL) while it is in the C++ event loop:
only PythonQt's thread support would release it, and Slicer does not enable that. Other Python
threads run only while the main thread waits in Python, so that a timer which polled its queue and
returned immediately would starve them. Each tick therefore waits, without the GIL, until a worker
has an event to deliver.
"""

from __future__ import annotations

import functools
import threading
from typing import Any

WAIT_MILLISECONDS = 30
# While a mouse button is pressed, sliders and views must follow the mouse.
DRAG_WAIT_MILLISECONDS = 15


class Pump:
    """Delivers the callbacks of busy workers on the main thread, and lets the workers run.

    Attributes:
        news: set by a worker that has events to deliver; ends the wait.
    """

    def __init__(self) -> None:
        self.news = threading.Event()
        self._workers: list = []
        self._timer: Any = None
        self._delivering = False

    def follow(self, worker) -> None:
        """Serve a worker until it is no longer busy; call it on the main thread.

        Without Qt this has no effect: only `Job.wait` and `Worker.pump` deliver events.
        """
        if worker not in self._workers:
            self._workers.append(worker)
        if self._timer is None:
            try:
                import qt
            except ImportError:
                return
            self._timer = qt.QTimer()
            # Ticks when Qt has processed all other events; during a pause no worker could run.
            self._timer.setInterval(0)
            self._timer.setSingleShot(True)
            self._timer.connect("timeout()", self._tick)
        if not self._timer.active:
            self._timer.start()

    def leave(self, worker) -> None:
        """Stop serving a worker."""
        self._workers = [other for other in self._workers if other is not worker]
        if not self._workers and self._timer is not None:
            self._timer.stop()

    def _tick(self) -> None:
        import qt

        dragging = bool(qt.QApplication.mouseButtons())
        patience = DRAG_WAIT_MILLISECONDS if dragging else WAIT_MILLISECONDS
        self.news.wait(patience / 1000)
        self.news.clear()
        # Before the callbacks, as one may open a dialog, whose event loop must serve workers too.
        self._timer.start()
        if self._delivering:  # inside such a loop: events are delivered after that callback
            return
        self._delivering = True
        try:
            for worker in list(self._workers):
                worker.pump()
        finally:
            self._delivering = False
            self._workers = [worker for worker in self._workers if worker.busy]
            if not self._workers:
                self._timer.stop()


@functools.cache
def shared() -> Pump:
    """The pump of both modules; several timers would wait one after the other."""
    return Pump()
