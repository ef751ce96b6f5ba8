"""Monitoring of a training run through its folder; requires neither Slicer nor torch."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

LOG_LINES = 12  # of the log of a run that died without an error message


class RunWatch:
    """State of a training run, read from its folder; a poll only reads new events.

    Args:
        folder: the backend's `RunFolder`.
        process: a process just started in the folder, which may not have written anything yet.

    Attributes:
        status: none, starting, running, stopping, stopped, finished, failed, or died (the process
            exited without reporting an end).
        stage, device, parameters: stage, device and number of parameters.
        step, totalSteps, totalMinutes, secondsLeft, speed (steps per second), memoryGb, loss.
        losses: (step, training loss).
        metrics: (step, value) on the validation cases, by name.
        sample: latest reconstruction of a validation case: ``case``, ``step``, ``files``.
        bestStep: step of the best checkpoint so far, or None.
        messages: (level, text).
        error: error message of a failed run.
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
        """The run folder."""
        return self.folder.path

    @property
    def launching(self) -> bool:
        """Whether the process was started but has not written anything yet."""
        return self._process is not None

    @property
    def active(self) -> bool:
        """Whether the run is active."""
        return self.status in self.ACTIVE

    @property
    def fractionDone(self) -> float | None:
        """Completed fraction, 0 to 1; None if the total duration is unknown."""
        if self.status == "finished":
            return 1.0
        if self.totalSteps:
            return min(1.0, self.step / self.totalSteps)
        if self.totalMinutes and self.secondsLeft is not None:
            return min(1.0, max(0.0, 1 - self.secondsLeft / (60 * self.totalMinutes)))
        return None

    def poll(self) -> bool:
        """Read new events; returns whether anything changed."""
        events, offset = self.folder.events(self._offset)
        if offset < self._offset:  # the file was overwritten
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
        # Poll the process first, so that the status includes everything it wrote before exiting.
        ended = self._process is not None and self._process.poll() is not None
        status = self.folder.status()
        if ended or status in self.ACTIVE:
            self._process = None
        return status if self._process is None else "starting"

    def explanation(self) -> str:
        """Why the run is not active: its error message, or the end of its log."""
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

    # One method per event; see `axon_backend.training.run.events`.

    def _start(self, event: dict) -> None:
        step = int(event.get("step") or 0)
        self.stage, self.device = str(event.get("stage", "")), str(event.get("device", ""))
        self.parameters = event.get("parameters")
        self.totalSteps, self.totalMinutes = event.get("total_steps"), event.get("total_minutes")
        self.step, self.error = step, None
        # Steps after the last checkpoint before a crash are repeated.
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
        # Runs of older versions called them figures.
        metrics = event.get("metrics") or event.get("figures") or {}
        for name, value in metrics.items():
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
