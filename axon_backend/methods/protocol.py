"""What every reconstruction method offers, so that one harness runs them all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch

# progress(stage, step, total, preview): called after each step with the volume as it stands,
# (1, 1, h, h, h) in normalised HU, or None. It may raise errors.Cancelled.
Progress = Callable[[str, int, int, "torch.Tensor | None"], None]


@dataclass(frozen=True)
class RegisteredViews:
    """The input of a method.

    Attributes:
        frontal: (1, 1, S, S) standardised registered frontal view.
        lateral: the same, or None.
        beam: (1, 2) beam parameters (``physics.geometry.beam_parameter``).
    """

    frontal: torch.Tensor
    lateral: torch.Tensor | None
    beam: torch.Tensor

    def to(self, device: torch.device | str) -> RegisteredViews:
        """The same on another device."""
        lateral = None if self.lateral is None else self.lateral.to(device)
        return RegisteredViews(self.frontal.to(device), lateral, self.beam.to(device))


@dataclass(frozen=True)
class StageVolumes:
    """Volumes by stage name, (1, 1, n, n, n) in normalised HU, and the seconds each took."""

    volumes: dict[str, torch.Tensor] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


class Reconstructor(Protocol):
    """A method: registered views in, volumes by stage out."""

    name: str

    def reconstruct(
        self,
        views: RegisteredViews,
        *,
        stages: tuple[str, ...],
        steps: dict[str, int],
        seed: int,
        progress: Progress | None = None,
    ) -> StageVolumes:
        """Run the method. The same seed on the same machine gives the same volume."""
        ...
