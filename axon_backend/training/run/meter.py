"""Mean loss and speed since the last row of metrics."""

from __future__ import annotations

import time
from typing import Any

import torch

from axon_backend.training.data.loader import Batches

EVENT_SECONDS = 1.0


class Meter:
    """Sums over steps, reset when read. The sums are stored in checkpoints."""

    def __init__(self) -> None:
        self.first = self.count = 0
        self.loss: Any = 0.0
        self.norm: Any = 0.0
        self._told = self._since = self._waited = 0.0
        self._timed = 0
        self._batches: Batches | None = None

    def start(self, step: int, batches: Batches) -> None:
        """Start at ``step``; of a resumed run, call :meth:`resume` first."""
        self._batches = batches
        self.first = step - self.count
        self.pause_over()

    def state(self) -> list[Any]:
        """The state to store in a checkpoint."""
        return [torch.as_tensor(self.loss), torch.as_tensor(self.norm), self.count]

    def resume(self, state: list[Any], device: torch.device) -> None:
        """The inverse of :meth:`state`."""
        self.loss, self.norm, self.count = state[0].to(device), state[1].to(device), state[2]

    def pause_over(self) -> None:
        """Restart the timing, so that validation and checkpoints do not count towards the speed."""
        self._since, self._timed = time.monotonic(), 0
        self._waited = self._batches.waited if self._batches else 0.0

    def add(self, loss: torch.Tensor, norm: torch.Tensor) -> None:
        """Add one step, without synchronising with the device."""
        self.loss, self.norm = self.loss + loss, self.norm + norm.detach()
        self.count += 1
        self._timed += 1

    def sums(self) -> list[float]:
        """Summed loss and gradient norm; not finite if any summand was not."""
        return [float(self.loss), float(self.norm)]

    def peek(self) -> dict[str, float]:
        """The values of :meth:`read` except for the gradient, without a reset."""
        passed = max(1e-9, time.monotonic() - self._since)
        waited = (self._batches.waited if self._batches else 0.0) - self._waited
        return {
            "loss": self.sums()[0] / max(1, self.count),
            "steps_per_second": self._timed / passed,
            "waiting": min(1.0, waited / passed),
        }

    def read(self, step: int) -> dict[str, float]:
        """The means since the last reading; resets the sums."""
        values = self.peek() | {"gradient": self.sums()[1] / max(1, self.count)}
        self.first, self.count, self.loss, self.norm = step, 0, 0.0, 0.0
        self.pause_over()
        return values

    def tell_now(self) -> bool:
        """Whether another step event is due; if so, the interval starts again."""
        now = time.monotonic()
        if now - self._told < EVENT_SECONDS:
            return False
        self._told = now
        return True
