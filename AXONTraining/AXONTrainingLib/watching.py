"""What a training run says about itself, gathered for showing; needs neither Slicer nor torch."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

LOG_LINES = 12  # of the output of a run that died without a word


class RunWatch:
    """A training run, followed through its folder. Cheap: a poll reads what is new.

    Args:
        folder: the backend's `RunFolder`.
        process: of a training that was just started in it, and may not have said so yet.

    Attributes:
        status: none, starting, running, stopping, stopped, finished, failed, or died (the process
            is gone and said nothing).
        stage, device, parameters: what is trained, and on what.
        step, totalSteps, totalMinutes, secondsLeft, speed (steps a second), memoryGb, loss.
        losses: (step, training loss).
        metrics: by name, (step, value) on the validation cases.
        sample: the newest reconstruction of a validation case: ``case``, ``step``, ``files``.
        bestStep: of the best checkpoint so far, or None.
        messages: (level, sentence).
        error: why it failed, in one sentence.
    """

    ACTIVE = ("starting", "running", "stopping")

    def __init__(self, folder: Any, process: subprocess.Popen | None = None) -> None:
        self.folder = folder
        self._process = process
        self._offset = 0
        self._forget()
        self.poll()

    def _forget(self) -> None:
        self.status = "none"
        self.stage = self.device = ""
        self.parameters: int | None = None
        self.step = 0
        self.totalSteps: int | None = None
        self.totalMinutes: float | None = None
        self.secondsLeft: float | None = None
        self.speed: float | None = None
        self.memoryGb: float | None = None
        self.loss: float | None = None
        self.losses: list[tuple[int, float]] = []
        self.metrics: dict[str, list[tuple[int, float]]] = {}
        self.sample: dict | None = None
        self.bestStep: int | None = None
        self.messages: list[tuple[str, str]] = []
        self.error: str | None = None

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.folder.path

    @property
    def launching(self) -> bool:
        """The process was started and has said nothing yet."""
        return self._process is not None

    @property
    def active(self) -> bool:
        """The process lives, or is about to."""
        return self.status in self.ACTIVE

    @property
    def fractionDone(self) -> float | None:
        """The part that is done, 0 to 1; None when the run does not say how long it will be."""
        if self.status == "finished":
            return 1.0
        if self.totalSteps:
            return min(1.0, self.step / self.totalSteps)
        if self.totalMinutes and self.secondsLeft is not None:
            return min(1.0, max(0.0, 1 - self.secondsLeft / (60 * self.totalMinutes)))
        return None

    def poll(self) -> bool:
        """Read what is new; whether there was anything."""
        events, offset = self.folder.events(self._offset)
        if offset < self._offset:  # the file began anew
            self._forget()
            events, offset = self.folder.events(0)
        self._offset = offset
        for event in events:
            handler: Callable[[dict], None] | None = getattr(self, f"_{event.get('event')}", None)
            if handler is not None:
                handler(event)
        before = self.status
        self.status = self._status()
        if self.status == "running" and self.folder.stop_file.exists():
            self.status = "stopping"
        if self.status == "failed" and self.error is None:
            self.error = self.folder.state().get("error")
        if not self.active:
            self.secondsLeft = None
        return bool(events) or before != self.status

    def _status(self) -> str:
        # Asked first: what a process says before it ends must be in the folder's status.
        ended = self._process is not None and self._process.poll() is not None
        status = self.folder.status()
        if ended or status in self.ACTIVE:
            self._process = None
        return status if self._process is None else "starting"

    def explanation(self) -> str:
        """Why it is not running: the run's own words, or the end of its output."""
        if self.error:
            return self.error
        try:
            with open(self.folder.log_file, "rb") as stream:
                stream.seek(0, os.SEEK_END)
                stream.seek(max(0, stream.tell() - 8000))
                text = stream.read().decode("utf-8", "replace")
        except OSError:
            return ""
        return "\n".join(text.strip().splitlines()[-LOG_LINES:])

    # One method an event; see `axon_backend.training.run.events`.

    def _start(self, event: dict) -> None:
        step = int(event.get("step") or 0)
        self.stage, self.device = str(event.get("stage", "")), str(event.get("device", ""))
        self.parameters = event.get("parameters")
        self.totalSteps, self.totalMinutes = event.get("total_steps"), event.get("total_minutes")
        self.step, self.error = step, None
        # What came after the last checkpoint before a crash is done again.
        self.losses = [point for point in self.losses if point[0] <= step]
        for name, points in self.metrics.items():
            self.metrics[name] = [point for point in points if point[0] <= step]

    def _step(self, event: dict) -> None:
        self.step = int(event.get("step") or 0)
        self.secondsLeft, self.speed = event.get("seconds_left"), event.get("steps_per_second")
        self.memoryGb, self.loss = event.get("memory_gb"), event.get("loss")
        if self.loss is not None:
            self.losses.append((self.step, float(self.loss)))

    def _validation(self, event: dict) -> None:
        step = int(event.get("step") or 0)
        for name, value in (event.get("metrics") or {}).items():
            if isinstance(value, (int, float)):
                self.metrics.setdefault(name, []).append((step, float(value)))
        if event.get("best"):
            self.bestStep = step

    def _sample(self, event: dict) -> None:
        self.sample = event

    def _message(self, event: dict) -> None:
        self.messages.append((str(event.get("level", "info")), str(event.get("text", ""))))

    def _end(self, event: dict) -> None:
        self.error = event.get("error")
