"""The folder of one training run, as another program sees it; needs nothing but Python.

RUN/run.json        what runs, where, since when, how it ended (:meth:`RunFolder.state`)
RUN/config.yaml     the whole configuration
RUN/events.jsonl    one JSON object a line, see ``training.run.events``
RUN/metrics.csv     the training curve; RUN/tensorboard/ the same for TensorBoard
RUN/checkpoints/    last.pt (everything to resume) and best.pt (the averaged weights)
RUN/samples/        reconstructions of validation cases
RUN/stop            its presence asks the run to stop after its step
RUN/lock            held by the training process while it lives
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from axon_backend.training.run.process_id import here, process_started
from axon_backend.util.atomic import WRITING
from axon_backend.util.work_folder import sweep

STATUSES = ("starting", "running", "stopping", "stopped", "finished", "failed")
ACTIVE = ("starting", "running", "stopping")
# A run on another machine is taken to live for that long after its last sign; runs give one at
# least every 20 seconds.
SILENCE_SECONDS = 120.0


class RunFolder:
    """Read a run, ask it to stop.

    Args:
        path: the folder given to ``axon train --run``; it need not exist yet.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.run_file = self.path / "run.json"
        self.config_file = self.path / "config.yaml"
        self.events_file = self.path / "events.jsonl"
        self.metrics_file = self.path / "metrics.csv"
        self.stop_file = self.path / "stop"
        self.lock_file = self.path / "lock"
        self.log_file = self.path / "train.log"
        self.last = self.path / "checkpoints" / "last.pt"
        self.best = self.path / "checkpoints" / "best.pt"
        self.samples = self.path / "samples"
        self.tensorboard = self.path / "tensorboard"

    def exists(self) -> bool:
        """Whether a run was ever started here."""
        return self.run_file.is_file()

    def has_weights(self) -> bool:
        """Whether there is something to go on with, or to lose."""
        return self.last.exists() or self.best.exists()

    def clean(self) -> None:
        """Remove what a killed run was writing; only for the holder of the lock. Checkpoints can
        be gigabytes."""
        for folder in (self.path, self.last.parent):
            sweep(folder, WRITING)

    def state(self) -> dict[str, Any]:
        """What run.json says; {} when there is none. ``status`` is what the run wrote last: after
        a kill it still reads "running", and :meth:`is_alive` tells."""
        for _ in range(3):  # on Windows a reader can meet the moment of replacing
            try:
                values = json.loads(self.run_file.read_text(encoding="utf-8"))
                return values if isinstance(values, dict) else {}
            except FileNotFoundError:
                return {}
            except (OSError, ValueError):
                time.sleep(0.02)
        return {}

    def status(self) -> str:
        """One of :data:`STATUSES`, or "died" for a run that ended without a word, or "none"."""
        status = str(self.state().get("status", "none"))
        return "died" if status in ACTIVE and not self.is_alive() else status

    def events(self, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
        """The events from a byte offset on, and the offset to ask with next time.

        A line that is still being written is left for the next call; one that was cut off by a
        crash is skipped.
        """
        try:
            with open(self.events_file, "rb") as stream:
                stream.seek(0, os.SEEK_END)
                if stream.tell() < offset:  # a new file in the place of the old one
                    offset = 0
                stream.seek(offset)
                data = stream.read()
        except FileNotFoundError:
            return [], 0
        end = data.rfind(b"\n") + 1
        events = []
        for line in data[:end].splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                events.append(event)
        return events, offset + end

    def request_stop(self) -> None:
        """Ask the run to finish its step, write its state and end."""
        self.stop_file.touch()

    def is_alive(self) -> bool:
        """Whether the process of run.json runs: by its number and start time on this machine, by
        the age of its last sign on another."""
        state = self.state()
        pid = state.get("pid")
        if not isinstance(pid, int):
            return False
        if state.get("host") == here():
            started = process_started(pid)
            return started is not None and started == state.get("pid_started")
        if state.get("status") not in ACTIVE:
            return False
        return time.time() - float(state.get("updated") or 0.0) < SILENCE_SECONDS
