"""A worker of its own, for what goes on beside the module's computations."""

from __future__ import annotations

from AXONReconstructionLib.jobs import pump
from AXONReconstructionLib.jobs.worker import Job, Worker
from AXONReconstructionLib.setup import backend


class Background:
    """A `Worker` whose callbacks are delivered on the main thread, whatever the scene does.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._worker = Worker(name, backend.isCancel, pump.shared())

    def submit(self, work, **callbacks) -> Job:
        """As `Worker.submit`."""
        return self._worker.submit(work, **callbacks)

    def shutdown(self) -> None:
        """Cancel everything; callbacks are no longer called."""
        pump.shared().leave(self._worker)
        self._worker.shutdown(2.0)
