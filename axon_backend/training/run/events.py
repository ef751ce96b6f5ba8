"""Output of a training run for other programs: events as JSON lines, and run.json.

Uses only the standard library. Events, one object per line, all with "time" (Unix seconds)::

    start       stage, step, total_steps, total_minutes, device, parameters
    step        step, loss, lr, steps_per_second, seconds_left, memory_gb, waiting
    validation  step, metrics {name: number}, best
    sample      step, case, files {prediction, truth, image}
    checkpoint  step, file
    message     level (info | warning), text
    end         status (finished | stopped | failed), step, error

``waiting`` is the share of the time since the last step event that was spent waiting for data.
A resumed run appends to the file: after a ``start`` with step N, earlier events about steps after
N are void, because those steps are repeated.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

from axon_backend.training.run.process_id import here, process_started
from axon_backend.training.run.run_folder import RunFolder
from axon_backend.util.atomic import whole_file

SIGN_SECONDS = 10.0


def plain(value: Any) -> Any:
    """The value in a form for strict JSON: non-finite numbers become null."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def write_text_whole(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


class RunWriter:
    """Writes run.json and events.jsonl of a run; only the first of its processes writes.

    Args:
        folder: the run folder.
        output: also print the events, as "json" or "words". A closed pipe ends the printing, not
            the training.
        active: False makes all methods do nothing, for the other processes of a run.

    Attributes:
        step: the last step of the run, for its final event.
        before: contents of run.json before this run.
    """

    def __init__(
        self, folder: RunFolder, *, output: str | None = None, active: bool = True
    ) -> None:
        self.folder, self.output, self.active = folder, output, active
        self.step = 0
        self.before: dict[str, Any] = {}
        self.values: dict[str, Any] = {}
        self._signed = 0.0

    def begin(self, **values: Any) -> None:
        """Write run.json with status "starting" and the identity of this process."""
        now = time.time()
        self.before = self.folder.state()
        self.values = {
            **values,
            "pid": os.getpid(),
            "pid_started": process_started(os.getpid()),
            "host": here(),
            "status": "starting",
            "started": now,
            "error": None,
        }
        self._write()

    def set(self, **values: Any) -> None:
        """Change entries of run.json."""
        self.values.update(values)
        self._write()

    def sign(self) -> None:
        """Renew "updated" from time to time, so that other machines see that the run is alive."""
        if time.monotonic() - self._signed > SIGN_SECONDS:
            self._write()

    def _write(self) -> None:
        if not self.active:
            return
        self._signed = time.monotonic()
        self.values["updated"] = time.time()
        text = json.dumps(plain(self.values), indent=1, allow_nan=False)
        write_text_whole(self.folder.run_file, text + "\n")

    def event(self, kind: str, **values: Any) -> None:
        """Append one event; it has been handed to the operating system when this returns."""
        if not self.active:
            return
        values = {"event": kind, **values, "time": round(time.time(), 3)}
        line = json.dumps(plain(values), allow_nan=False) + "\n"
        with open(self.folder.events_file, "ab") as stream:
            # A crash can leave an incomplete line; a new one must not be appended to it.
            if stream.tell() and not _ends_with_newline(self.folder.events_file):
                stream.write(b"\n")
            stream.write(line.encode())
        if self.output is not None:
            try:
                sys.stdout.write(line if self.output == "json" else in_words(values))
                sys.stdout.flush()
            except (OSError, ValueError):
                self.output = None
                _abandon_stdout()

    def message(self, text: str, level: str = "info") -> None:
        """A message event for the user; ``level`` is "info" or "warning"."""
        self.event("message", level=level, text=text)


def in_words(event: dict[str, Any]) -> str:
    """An event as a readable line, including the newline."""
    kind, step = event["event"], event.get("step")
    if kind == "start":
        budget = f"{event['total_minutes']:g} minutes" if event["total_minutes"] else ""
        budget = f"{event['total_steps']} steps" if event["total_steps"] else budget
        text = (
            f"stage {event['stage']} on {event['device']} from step {step}, {budget}; "
            f"{event['parameters'] / 1e6:.2f} million parameters"
        )
    elif kind == "step":
        left = event.get("seconds_left")
        text = (
            f"step {step}  loss {event['loss']:.5g}  {event['steps_per_second']:.2f} steps/s  "
            f"waiting for data {100 * event['waiting']:.0f} %"
            + (f"  {left / 60:.0f} min left" if left is not None else "")
        )
    elif kind == "validation":
        metrics = "  ".join(f"{k} {v:.4g}" for k, v in event["metrics"].items())
        text = f"step {step}  validation{' (best so far)' if event['best'] else ''}: {metrics}"
    elif kind == "sample":
        text = f"step {step}  image: {event['files']['image']}"
    elif kind == "checkpoint":
        text = f"step {step}  written: {event['file']}"
    elif kind == "end":
        text = f"{event['status']} at step {step}"
    else:
        text = f"{event['level'] + ': ' if event['level'] != 'info' else ''}{event['text']}"
    return text + "\n"


def _ends_with_newline(path: Path) -> bool:
    with open(path, "rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"


def _abandon_stdout() -> None:
    """Redirect standard output to the null device: flushing it at exit would otherwise fail."""
    try:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - open until the process ends
    except OSError:
        sys.stdout = None
