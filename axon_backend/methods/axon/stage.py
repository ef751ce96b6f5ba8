"""Base class of AXON's stages, and the condition from X-rays and a volume."""

from __future__ import annotations

import torch
from torch import nn

from axon_backend.diffusion.sampling import OnStep
from axon_backend.methods.axon.config import AxonConfig
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.networks.lifting import back_project, back_project_residuals
from axon_backend.networks.precision import Precision, autocast


class StageModule(nn.Module):
    """The networks of one stage.

    Args:
        config: the model's configuration.
        precision: the model's precision.
    """

    def __init__(self, config: AxonConfig, precision: Precision) -> None:
        super().__init__()
        self.config, self.precision = config, precision

    def autocast(self) -> torch.autocast:
        """The autocast context in which the networks are evaluated."""
        first = next(self.parameters(), None)
        device = "cpu" if first is None else first.device
        return autocast(device, self.precision.always_bfloat16)


def condition(config: AxonConfig, views: RegisteredViews, volume: torch.Tensor) -> torch.Tensor:
    """The condition of a stage: a volume and, with ``condition_on_views``, the back-projected
    X-rays and their residuals against the volume's projections.

    Args:
        config: the model's configuration.
        views: the views of the batch.
        volume: (B, 1, h, h, h) F(x) or X^.

    Returns:
        (B, ``config.condition_channels``, h, h, h).
    """
    if not config.condition_on_views:
        return volume
    both, size = views.both, volume.shape[-1]
    spread = back_project(both, size, views.beam, views.has_lateral)
    residuals = back_project_residuals(volume, both, views.beam, views.has_lateral)
    return torch.cat([volume, spread, residuals], 1)


def count_steps(on_step: OnStep | None, before: int, total: int) -> OnStep | None:
    """``on_step`` for one of several runs, with its steps counted within the total."""
    if on_step is None:
        return None

    def counted(i: int, n: int, x: torch.Tensor) -> None:
        on_step(before + i, total, x)

    return counted
