"""Sizes, losses and presets of X2CT."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from axon_backend.imaging.frame import HuWindow
from axon_backend.methods.protocol import OneGridConfig


@dataclass(frozen=True)
class X2CTConfig(OneGridConfig):
    """The configuration of X2CT. Each stage of the encoder halves the image; each level of the
    decoder except the first doubles the volume.

    Attributes:
        grid: side h of volume and images, a multiple of ``2 ** stages``.
        view_size: side of the X-rays, of which the part over the frame is resampled to h.
        stem: channels of the first convolution.
        layers: number of layers in the dense block of each stage.
        growth: channels that a dense layer adds.
        decoder: channels of the levels, coarse to fine: one more than there are stages.
        blocks: 3-D convolutions at each level except the first.
        fused_blocks: 3-D convolutions at each level of the decoder of both views.
        head: side of the output convolution's kernel, odd. The paper's 7 sums so many inputs that
            its output fluctuates at the learning rates of a short training.
        dropout: share of connection A's units that are dropped in a training step.
        window: the HU that are mapped to -1 and 1.
    """

    grid: int = 64
    view_size: int = 128
    stem: int = 32
    layers: tuple[int, ...] = (3, 4, 6, 4)
    growth: int = 16
    decoder: tuple[int, ...] = (128, 64, 32, 16, 8)
    blocks: tuple[int, ...] = (1, 1, 1, 1)
    fused_blocks: tuple[int, ...] = (1, 1, 1, 1, 0)
    head: int = 3
    dropout: float = 0.5
    window: HuWindow = field(default_factory=HuWindow)

    networks = ("generator",)

    def check(self) -> None:
        """Raise ValueError if sizes are inconsistent. Not called on construction, since settings
        are applied one after another."""
        stages = len(self.layers)
        lengths = (len(self.decoder), len(self.blocks), len(self.fused_blocks))
        if lengths != (stages + 1, stages, stages + 1):
            raise ValueError(
                f"{stages} layers need {stages + 1} decoder, {stages} blocks and {stages + 1} "
                f"fused_blocks, got {', '.join(map(str, lengths))}"
            )
        if self.grid % 2**stages:
            raise ValueError(f"grid must be a multiple of {2**stages}, got {self.grid}")
        if self.head < 1 or self.head % 2 == 0:
            raise ValueError(f"head must be an odd number, got {self.head}")


@dataclass(frozen=True)
class X2CTLoss:
    """Weights of the losses (the paper's, for volumes in [0, 1]), and the discriminator.

    Attributes:
        identity: weight of the mean squared error.
        projection: weight of the mean absolute error of mean projections along the three axes.
        gan: weight of the generator's adversarial loss (LSGAN) in the training "gan".
        discriminator_channels: channels of the discriminator's first layer.
        discriminator_lr, discriminator_betas: settings of its Adam optimiser.
    """

    identity: float = 10.0
    projection: float = 10.0
    gan: float = 0.1
    discriminator_channels: int = 16
    discriminator_lr: float = 2e-4
    discriminator_betas: tuple[float, float] = (0.5, 0.99)


def full() -> X2CTConfig:
    """The paper's sizes, 128^3."""
    return X2CTConfig(
        grid=128,
        stem=64,
        layers=(6, 12, 24, 16, 6),
        growth=32,
        decoder=(256, 128, 64, 32, 16, 16),
        blocks=(2, 2, 2, 2, 1),
        fused_blocks=(1, 1, 1, 1, 1, 0),
        head=7,
    )


PRESETS = {"preview": X2CTConfig, "full": full}


def recipe(preset: str, training: str) -> dict[str, Any]:
    """Training settings; of ``full`` the paper's: Adam, batch, epochs, and a learning rate that
    falls linearly over the second half."""
    if preset == "preview":
        return {}
    return {
        "minutes": None,
        "epochs": 100.0,
        "batch": 4,
        "log_steps": 20,
        "optimiser": {
            "name": "adam",
            "lr": 2e-4,
            "betas": (0.5, 0.99),
            "schedule": "linear",
            "warm_up": 0.0,
            "floor": 0.0,
        },
        "loss": {"discriminator_channels": 64},
        "data": {"cache": 4000},
        "validation": {"every_minutes": 60.0},
    }
