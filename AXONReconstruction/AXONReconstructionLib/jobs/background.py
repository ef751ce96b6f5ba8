"""A separate worker for tasks that run alongside reconstruction and registration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from AXONReconstructionLib.jobs import pump
from AXONReconstructionLib.jobs.worker import Job, Worker
from AXONReconstructionLib.setup import backend


class Background:
    """A `Worker` whose callbacks are delivered on the main thread, also when the scene closes.

    Args:
        name: thread name.
    """

    def __init__(self, name: str) -> None:
        self._worker = Worker(name, backend.isCancel, pump.shared())

    def submit(self, work: Callable[[Job], Any], **callbacks: Any) -> Job:
        """See `Worker.submit`."""
        return self._worker.submit(work, **callbacks)

    def shutdown(self) -> None:
        """Cancel all jobs; their callbacks are no longer called."""
        pump.shared().leave(self._worker)
        self._worker.shutdown(2.0)
