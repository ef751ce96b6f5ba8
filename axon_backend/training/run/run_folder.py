"""The folder of one training run, as seen by other programs; uses only the standard library.

RUN/run.json        what is run, where, since when, and how it ended (:meth:`RunFolder.state`)
RUN/config.yaml     the whole configuration
RUN/events.jsonl    one JSON object per line, see ``training.run.events``
RUN/metrics.csv     metrics over time; RUN/tensorboard/ the same for TensorBoard
RUN/checkpoints/    last.pt (everything to resume) and best.pt (the averaged weights)
RUN/samples/        reconstructions of validation cases
RUN/stop            asks the run to stop after the current step
RUN/lock            held by the training process while it is alive
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
# A run on another machine counts as alive for this long after its last update; runs update
# run.json at least every 20 seconds.
SILENCE_SECONDS = 120.0


class RunFolder:
    """Reads the state of a run, and asks it to stop.

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
        """Whether a run has been started in this folder."""
        return self.run_file.is_file()

    def has_weights(self) -> bool:
        """Whether the run has a checkpoint."""
        return self.last.exists() or self.best.exists()

    def clean(self) -> None:
        """Remove the temporary files of a killed run, which can be gigabytes; only for the holder
        of the lock."""
        for folder in (self.path, self.last.parent):
            sweep(folder, WRITING)

    def state(self) -> dict[str, Any]:
        """Contents of run.json; {} if there is none. ``status`` is the last status written: after
        a kill it is still "running"; see :meth:`is_alive`."""
        for _ in range(3):  # on Windows the file may be replaced during the reading
            try:
                values = json.loads(self.run_file.read_text(encoding="utf-8"))
                return values if isinstance(values, dict) else {}
            except FileNotFoundError:
                return {}
            except (OSError, ValueError):
                time.sleep(0.02)
        return {}

    def status(self) -> str:
        """One of :data:`STATUSES`, "died" for a run that ended without a status, or "none"."""
        status = str(self.state().get("status", "none"))
        return "died" if status in ACTIVE and not self.is_alive() else status

    def events(self, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
        """The events from a byte offset on, and the offset for the next call.

        A line that is still being written is left for the next call; a line truncated by a crash
        is skipped.
        """
        try:
            with open(self.events_file, "rb") as stream:
                stream.seek(0, os.SEEK_END)
                if stream.tell() < offset:  # the file was replaced
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
        """Ask the run to finish its step, save its state and end."""
        self.stop_file.touch()

    def is_alive(self) -> bool:
        """Whether the process in run.json is running: by its id and start time on this machine,
        by the age of its last update on another."""
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
