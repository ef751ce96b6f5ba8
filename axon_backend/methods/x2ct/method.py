"""X2CT as a :class:`Method`."""

from __future__ import annotations

from typing import Any

import torch

from axon_backend.methods.adversaries import LeastSquaresAdversary, check_grid
from axon_backend.methods.batch import Batch
from axon_backend.methods.formats import views_to_volume
from axon_backend.methods.generator import GeneratorModel, GeneratorObjective
from axon_backend.methods.protocol import Method
from axon_backend.methods.x2ct import INFO
from axon_backend.methods.x2ct.config import PRESETS, X2CTConfig, X2CTLoss, recipe
from axon_backend.methods.x2ct.network import Generator
from axon_backend.networks.blocks import channels_last


class X2CTModel(GeneratorModel):
    """The generator."""

    config: X2CTConfig

    def __init__(self, method: Method, config: X2CTConfig) -> None:
        super().__init__(method, config)
        self.views_to_volume = channels_last(Generator(config))


def reconstruction_loss(output: torch.Tensor, target: torch.Tensor, loss: X2CTLoss) -> torch.Tensor:
    """Mean squared error of volumes (B, 1, h, h, h) in [-1, 1] plus mean absolute error of their
    projections, both on the scale [0, 1] of the paper's weights."""
    error = (output - target) / 2
    projections = torch.stack([error.mean(axis).abs().mean() for axis in (2, 3, 4)])
    return loss.identity * error.square().mean() + loss.projection * projections.mean()


class CNNObjective(GeneratorObjective):
    """X2CT-CNN: the generator without a discriminator."""

    def forward(self, batch: Batch) -> torch.Tensor:
        return reconstruction_loss(self.make(batch), batch.volume, self.loss)


class GANObjective(GeneratorObjective):
    """X2CT-GAN: the generator against a discriminator that also takes the X-rays."""

    adversary: LeastSquaresAdversary

    def make_adversary(self) -> LeastSquaresAdversary:
        return LeastSquaresAdversary(
            conditional=True,
            channels=self.loss.discriminator_channels,
            lr=self.loss.discriminator_lr,
            betas=self.loss.discriminator_betas,
        )

    @classmethod
    def check(cls, config: Any, loss: Any) -> None:
        super().check(config, loss)
        check_grid(config.grid)

    def forward(self, batch: Batch) -> torch.Tensor:
        output = self.make(batch)
        lost = self.adversary.generator_loss(batch, output)
        return reconstruction_loss(output, batch.volume, self.loss) + self.loss.gan * lost


class X2CTMethod(Method):
    """See the package's docstring."""

    info = INFO
    config_type = X2CTConfig
    presets = PRESETS
    objectives = {"cnn": CNNObjective, "gan": GANObjective}
    loss_settings = X2CTLoss
    references = (
        "X. Ying, H. Guo, K. Ma, J. Wu, Z. Weng, Y. Zheng: X2CT-GAN: Reconstructing CT from "
        "Biplanar X-Rays with Generative Adversarial Networks. CVPR (2019).",
    )

    def build(self, config: X2CTConfig) -> X2CTModel:
        return X2CTModel(self, config)

    def network_formats(self, config: X2CTConfig) -> dict[str, dict[str, Any]]:
        return {"generator": views_to_volume(config.view_size, config.grid)}

    def recipe(self, preset: str, training: str) -> dict[str, Any]:
        return recipe(preset, training)

    def smallest_side(self, config: X2CTConfig) -> int:
        return config.grid >> len(config.layers)

    def describe(self, config: X2CTConfig) -> str:
        return (
            f"X2CT: X-rays of {config.view_size} x {config.view_size} pixels to {config.grid}^3 "
            "voxels; one view through the frontal branch alone, two through both branches and "
            "their common decoder."
        )


X2CT = X2CTMethod()
