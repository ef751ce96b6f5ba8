"""Adversaries shared by several methods: LSGAN, and the critic of neural optimal transport."""

from __future__ import annotations

from abc import abstractmethod

import torch

from axon_backend.errors import AxonInputError
from axon_backend.methods.batch import Batch
from axon_backend.methods.objective import Adversary
from axon_backend.networks.blocks import channels_last
from axon_backend.networks.lifting import back_project
from axon_backend.networks.patch_critic import PatchCritic

SMALLEST_GRID = 24
"""For smaller volumes, the last normalisation of :class:`PatchCritic` has a single value."""


def check_grid(grid: int) -> None:
    """Raise AxonInputError for volumes that are too small for :class:`PatchCritic`."""
    if grid < SMALLEST_GRID:
        raise AxonInputError(
            f"model.grid is {grid}; an adversarial training needs at least {SMALLEST_GRID}. Set a "
            "larger grid, or choose the training without a critic or discriminator."
        )


class VolumeAdversary(Adversary):
    """A :class:`PatchCritic` of volumes.

    Args:
        conditional: whether the critic also takes the X-rays, repeated along their rays.
        channels: channels of the critic's first layer.
        lr, betas, every: see :class:`Adversary`.
    """

    def __init__(
        self,
        *,
        conditional: bool,
        channels: int,
        lr: float,
        betas: tuple[float, float],
        every: int = 1,
    ) -> None:
        super().__init__(lr=lr, betas=betas, every=every)
        self.conditional = conditional
        self.critic = channels_last(PatchCritic(3 if conditional else 1, channels))

    def scores(self, batch: Batch, *volumes: torch.Tensor) -> list[torch.Tensor]:
        """The patch scores of each of the ``volumes`` (B, 1, n, n, n)."""
        seen = []
        if self.conditional:
            views = batch.training_views()
            size = batch.volume.shape[-1]
            seen = [back_project(views.both, size, views.beam, views.has_lateral, "repeat")]
        return [self.critic(torch.cat([volume, *seen], 1)) for volume in volumes]

    @abstractmethod
    def generator_loss(self, batch: Batch, output: torch.Tensor) -> torch.Tensor:
        """The adversarial loss of the networks that generated ``output``."""


class LeastSquaresAdversary(VolumeAdversary):
    """LSGAN (Mao et al. 2017): the target score is 1 for CTs and 0 for generated volumes; the
    networks aim at 1."""

    def forward(self, batch: Batch, output: torch.Tensor) -> torch.Tensor:
        real, made = self.scores(batch, batch.volume, output)
        return 0.5 * ((real - 1).square().mean() + made.square().mean())

    def generator_loss(self, batch: Batch, output: torch.Tensor) -> torch.Tensor:
        return (self.scores(batch, output)[0] - 1).square().mean()


class TransportAdversary(VolumeAdversary):
    """The potential f of neural optimal transport (Korotin et al. 2023): it maximises
    ``E f(CT) - E f(output)``; the networks minimise ``-E f(output)`` plus the transport cost."""

    def forward(self, batch: Batch, output: torch.Tensor) -> torch.Tensor:
        real, made = self.scores(batch, batch.volume, output)
        return made.mean() - real.mean()

    def generator_loss(self, batch: Batch, output: torch.Tensor) -> torch.Tensor:
        return -self.scores(batch, output)[0].mean()
