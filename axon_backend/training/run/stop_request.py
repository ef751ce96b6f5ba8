"""Stop requests: a signal, or a file in the run folder."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

# File systems round the times of files, to two seconds at most.
SLACK_SECONDS = 2.0


def clear_stop_request(file: Path, before: float = math.inf) -> None:
    """Remove a stop request that was made before a time (Unix seconds)."""
    with suppress(OSError):  # no file; or, on Windows, open elsewhere: the request then stands
        if file.stat().st_mtime < before - SLACK_SECONDS:
            file.unlink()


class StopRequest:
    """Whether the run should end after its step.

    Args:
        file: a stop is requested if it exists; None: by signals only.
    """

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.signalled = threading.Event()

    def __call__(self) -> bool:
        return self.signalled.is_set() or (self.file is not None and self.file.exists())

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Context manager that treats SIGINT, SIGTERM and SIGHUP as a stop request; a second
        Ctrl-C raises KeyboardInterrupt."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def request(number: int, _frame: Any) -> None:
            if self.signalled.is_set() and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.signalled.set()

        numbers = [signal.SIGINT, signal.SIGTERM]
        if hasattr(signal, "SIGHUP"):
            numbers.append(signal.SIGHUP)
        before = {number: signal.signal(number, request) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
