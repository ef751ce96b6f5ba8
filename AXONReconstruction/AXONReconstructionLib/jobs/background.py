"""A separate worker for tasks that run alongside reconstruction and registration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from AXONReconstructionLib.jobs.worker import Job, Worker
from AXONReconstructionLib.setup import backend

_INTERVAL_MS = 100


class Background:
    """A `Worker` with a timer that delivers its callbacks on the main thread.

    Args:
        name: thread name.
    """

    def __init__(self, name: str) -> None:
        self._worker = Worker(name, backend.isCancel)
        self._timer = qt.QTimer()
        self._timer.setInterval(_INTERVAL_MS)
        self._timer.connect("timeout()", self._pump)

    def submit(self, work: Callable[[Job], Any], **callbacks: Any) -> Job:
        """See `Worker.submit`."""
        job = self._worker.submit(work, **callbacks)
        self._timer.start()
        return job

    def shutdown(self) -> None:
        """Cancel all jobs; their callbacks are no longer called."""
        self._timer.stop()
        self._worker.shutdown(2.0)

    def _pump(self) -> None:
        self._worker.pump()
        if not self._worker.busy:
            self._timer.stop()
