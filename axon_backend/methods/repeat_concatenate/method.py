"""Repeat-and-Concatenate as a :class:`Method`."""

from __future__ import annotations

from typing import Any

import torch

from axon_backend.methods.adversaries import (
    LeastSquaresAdversary,
    TransportAdversary,
    VolumeAdversary,
    check_grid,
)
from axon_backend.methods.batch import Batch
from axon_backend.methods.formats import views_to_volume
from axon_backend.methods.generator import GeneratorModel, GeneratorObjective
from axon_backend.methods.protocol import Method
from axon_backend.methods.repeat_concatenate import INFO
from axon_backend.methods.repeat_concatenate.config import (
    PRESETS,
    RepeatConcatenateConfig,
    RepeatConcatenateLoss,
    recipe,
)
from axon_backend.methods.repeat_concatenate.network import Generator
from axon_backend.networks.blocks import channels_last


class RepeatConcatenateModel(GeneratorModel):
    """The 3-D network."""

    config: RepeatConcatenateConfig

    def __init__(self, method: Method, config: RepeatConcatenateConfig) -> None:
        super().__init__(method, config)
        self.views_to_volume = channels_last(Generator(config))


class RegressionObjective(GeneratorObjective):
    """L2."""

    def forward(self, batch: Batch) -> torch.Tensor:
        return (self.make(batch) - batch.volume).square().mean()


class CriticObjective(GeneratorObjective):
    """L2 and an adversarial loss against a critic."""

    adversary: VolumeAdversary

    def make_adversary(self) -> VolumeAdversary:
        transport = self.loss.critic == "transport"
        kind = TransportAdversary if transport else LeastSquaresAdversary
        return kind(
            conditional=not transport,
            channels=self.loss.critic_channels,
            lr=self.loss.critic_lr,
            betas=self.loss.critic_betas,
            every=self.loss.critic_every,
        )

    @classmethod
    def check(cls, config: Any, loss: Any) -> None:
        super().check(config, loss)
        check_grid(config.grid)

    def forward(self, batch: Batch) -> torch.Tensor:
        output = self.make(batch)
        lost = self.adversary.generator_loss(batch, output)
        return (output - batch.volume).square().mean() + self.loss.weight * lost


class RepeatConcatenateMethod(Method):
    """See the package's docstring."""

    info = INFO
    config_type = RepeatConcatenateConfig
    presets = PRESETS
    objectives = {"regression": RegressionObjective, "critic": CriticObjective}
    loss_settings = RepeatConcatenateLoss
    references = (
        "A. Corona-Figueroa, H. P. H. Shum, C. G. Willcocks: Repeat and Concatenate: 2D to 3D "
        "Image Translation with 3D to 3D Generative Modeling. CVPR Workshops (2024).",
    )

    def build(self, config: RepeatConcatenateConfig) -> RepeatConcatenateModel:
        return RepeatConcatenateModel(self, config)

    def network_formats(self, config: RepeatConcatenateConfig) -> dict[str, dict[str, Any]]:
        return {"generator": views_to_volume(config.view_size, config.grid)}

    def recipe(self, preset: str, training: str) -> dict[str, Any]:
        return recipe(preset, training)

    def smallest_side(self, config: RepeatConcatenateConfig) -> int:
        if config.network == "swin_unetr":
            return config.grid // 32
        return config.grid // config.patch >> (len(config.channels) - 1)

    def describe(self, config: RepeatConcatenateConfig) -> str:
        net = "SwinUNETR" if config.network == "swin_unetr" else "U-Net"
        return (
            f"Repeat-and-Concatenate: X-rays of {config.view_size} x {config.view_size} pixels, "
            f"repeated along their rays, through a 3-D {net} to {config.grid}^3 voxels."
        )


REPEAT_CONCATENATE = RepeatConcatenateMethod()
