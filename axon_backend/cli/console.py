"""Terminal support for long calls: progress bars, and Ctrl-C as a request to stop."""

from __future__ import annotations

import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from axon_backend.errors import Cancelled

T = TypeVar("T")

# What a stage of many cases counts.
_UNITS = {"studies": "study", "cases": "case", "headers": "file", "series": "series"}


class ProgressBars:
    """One progress bar per stage on standard error, with the step and the remaining time.

    Instances are ``util.run_context.Progress`` callbacks.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self._stage: str | None = None
        self._bar: Any = None
        self._last = time.time()

    def __call__(self, stage: str, step: int, total: int, preview: Any = None) -> None:
        if self.quiet:
            return
        if stage != self._stage:
            self.close()
            # Reading is quick, and the message about a refused file should stand alone.
            if stage == "read":
                return
            from tqdm import tqdm

            self._stage = stage
            unit = _UNITS.get(stage, "step")
            self._bar = tqdm(total=total, desc=stage, file=sys.stderr, unit=unit, mininterval=0)
            # The first report of a stage comes after its first step. The stage began at the last
            # report of the stage before it.
            self._bar.start_t = self._bar.last_print_t = self._last
        self._last = time.time()
        if self._bar is not None and step > self._bar.n:
            self._bar.update(step - self._bar.n)
            if step >= total:  # stop its clock before the next stage begins
                self._bar.close()
                self._bar = None

    def close(self) -> None:
        """Finish the current bar."""
        if self._bar is not None:
            self._bar.close()
        self._bar, self._stage = None, None


@contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C, SIGTERM or closed terminal (SIGHUP) into an event, so that work stops
    between two steps.

    A second signal interrupts at once.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may set handlers
        return

    def on_signal(number: int, _frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        with suppress(OSError):  # the terminal is gone
            print("\nStopping after this step ...", file=sys.stderr)

    with _handled((signal.SIGINT, *_endings()), on_signal):
        yield stop


def run_resumable(
    work: Callable[[ProgressBars, Callable[[], bool]], T], quiet: bool, how_to_resume: str
) -> T | None:
    """Run work over many cases and return its result; None if it was stopped or its output could
    not be written. The reason is then printed.

    Args:
        work: called with (progress, cancelled).
        quiet: no progress bars.
        how_to_resume: sentence printed after the reason.
    """
    from axon_backend.dataset.store import OutputFailed

    bars = ProgressBars(quiet)
    try:
        with stop_on_signal() as stop:
            return work(bars, stop.is_set)
    except (Cancelled, KeyboardInterrupt):
        reason = "stopped as asked."
    except OutputFailed as error:
        reason = str(error)
    finally:
        bars.close()
    print(f"axon: {reason} {how_to_resume}", file=sys.stderr)
    return None


@contextmanager
def interrupt_on_signal() -> Iterator[None]:
    """Make SIGTERM and a closed terminal end a command like Ctrl-C, with clean-up. By default
    Python would exit at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    with _handled(_endings(), on_signal):
        yield


@contextmanager
def quiet_libraries(debug: bool = False) -> Iterator[None]:
    """Hide the warnings of libraries (about a file's tags or compression), but not AXON's own. With
    ``debug``, all are shown."""
    with warnings.catch_warnings():
        if not debug:
            warnings.simplefilter("ignore")
            warnings.filterwarnings("default", category=UserWarning, module=r"axon_backend\.")
        yield


def _endings() -> tuple[signal.Signals, ...]:
    """SIGTERM and, where it exists and is not ignored (as by nohup), SIGHUP."""
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is None or signal.getsignal(hangup) == signal.SIG_IGN:
        return (signal.SIGTERM,)
    return (signal.SIGTERM, hangup)


@contextmanager
def _handled(
    numbers: tuple[signal.Signals, ...], handler: Callable[[int, Any], None]
) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
