"""The settings that accompany every run: seed, device, progress and cancellation."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from axon_backend.errors import AxonInputError, Cancelled

# The largest seed that every random generator accepts; SimpleITK's have the lowest limit.
MAX_SEED = 2**31 - 1

# progress(stage, step, total, preview) is called after each step. The preview is the current
# volume, (1, 1, h, h, h) in normalised HU, or None. The callback may raise errors.Cancelled.
Progress = Callable[[str, int, int, Any], None]


def check_seed(seed: int, name: str = "The seed") -> None:
    """Raise :class:`AxonInputError`, whose message starts with ``name``, unless the seed is a whole
    number from 0 to ``MAX_SEED``."""
    whole = not isinstance(seed, bool) and hasattr(seed, "__index__")
    if not whole or not 0 <= operator.index(seed) <= MAX_SEED:
        raise AxonInputError(f"{name} is {seed!r}; expected a whole number from 0 to {MAX_SEED}.")


@dataclass(frozen=True)
class RunContext:
    """Seed and device of a run, and its callbacks.

    Attributes:
        seed: of all noise; the same seed gives the same volume on the same machine.
        device: ``auto``, ``cpu`` or ``cuda``.
        progress: called as ``progress(stage, step, total, preview)``.
        cancelled: polled before every step and while networks compute; True stops the run.
    """

    seed: int = 0
    device: str = "auto"
    progress: Progress | None = None
    cancelled: Callable[[], bool] | None = None

    def __post_init__(self) -> None:
        check_seed(self.seed)

    def check(self, where: str) -> None:
        """Raise :class:`Cancelled` if the caller asked to stop."""
        if self.cancelled is not None and self.cancelled():
            raise Cancelled(f"stopped in {where}")

    def report(self, stage: str, step: int, total: int, preview: Any = None) -> None:
        """Report a step; raises :class:`Cancelled` if the caller asked to stop."""
        self.check(f"stage {stage} before step {step} of {total}")
        if self.progress is not None:
            self.progress(stage, step, total, preview)

    def with_seed(self, seed: int) -> RunContext:
        """The same run with another seed."""
        return replace(self, seed=seed)

    def with_progress(self, progress: Progress) -> RunContext:
        """The same run with another progress callback."""
        return replace(self, progress=progress)
