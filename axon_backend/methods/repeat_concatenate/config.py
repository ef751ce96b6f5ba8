"""Sizes, losses and presets of Repeat-and-Concatenate."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from axon_backend.imaging.frame import HuWindow
from axon_backend.methods.protocol import OneGridConfig

NETWORKS = ("unet", "swin_unetr")
UPSAMPLINGS = ("resize", "transposed")
CRITICS = ("least_squares", "transport")


@dataclass(frozen=True)
class RepeatConcatenateConfig(OneGridConfig):
    """The configuration of Repeat-and-Concatenate.

    Attributes:
        grid: side h of the volume; for swin_unetr a multiple of 32.
        view_size: side of the X-rays, which are averaged down to h.
        lifting: "repeat" as in the paper, or "backproject", which spreads each view along the cone
            beam's rays.
        network: one of :data:`NETWORKS`, a residual U-Net or MONAI's SwinUNETR.
        channels: channels of the U-Net's levels, fine to coarse.
        patch: space-to-depth factor of the U-Net: blocks of patch^3 voxels become channels, which
            for 2 leaves an eighth of the positions. 1 is the plain U-Net.
        feature_size: feature size of the SwinUNETR, a multiple of 12.
        upsampling: one of :data:`UPSAMPLINGS`; transposed convolutions cause checkerboard
            artefacts (Odena et al. 2016), resizing before a convolution does not.
        window: the HU that are mapped to -1 and 1.
    """

    grid: int = 64
    view_size: int = 128
    lifting: str = "repeat"
    network: str = "unet"
    channels: tuple[int, ...] = (32, 64, 128)
    patch: int = 2
    feature_size: int = 24
    upsampling: str = "resize"
    window: HuWindow = field(default_factory=HuWindow)

    networks = ("generator",)

    def __post_init__(self) -> None:
        for name, known in (
            ("lifting", ("repeat", "backproject")),
            ("network", NETWORKS),
            ("upsampling", UPSAMPLINGS),
        ):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}"
                )

    def check(self) -> None:
        """Raise ValueError if sizes are inconsistent. Not called on construction, since settings
        are applied one after another."""
        unet = self.patch * 2 ** (len(self.channels) - 1)
        step = 32 if self.network == "swin_unetr" else unet
        if self.grid % step:
            raise ValueError(f"grid must be a multiple of {step} for this network, got {self.grid}")
        if self.network == "swin_unetr" and self.feature_size % 12:
            raise ValueError(f"feature_size must be a multiple of 12, got {self.feature_size}")


@dataclass(frozen=True)
class RepeatConcatenateLoss:
    """Settings of the training "critic"; L2 has none.

    Attributes:
        critic: one of :data:`CRITICS`: LSGAN conditional on the X-rays, or the potential of neural
            optimal transport.
        weight: weight of the network's adversarial loss, in addition to L2 in [-1, 1].
        critic_channels: channels of the critic's first layer.
        critic_lr, critic_betas: settings of the critic's Adam optimiser.
        critic_every: number of steps of the network per step of the critic.
    """

    critic: str = "least_squares"
    weight: float = 0.01
    critic_channels: int = 16
    critic_lr: float = 2e-4
    critic_betas: tuple[float, float] = (0.5, 0.99)
    critic_every: int = 1

    def __post_init__(self) -> None:
        if self.critic not in CRITICS:
            raise ValueError(f"critic must be one of {', '.join(CRITICS)}, got {self.critic!r}")


def full() -> RepeatConcatenateConfig:
    """128^3 with the paper's SwinUNETR."""
    return RepeatConcatenateConfig(
        grid=128,
        network="swin_unetr",
        channels=(32, 64, 128, 256, 320),
        patch=1,
        feature_size=48,
        upsampling="transposed",
    )


PRESETS = {"preview": RepeatConcatenateConfig, "full": full}


def recipe(preset: str, training: str) -> dict[str, Any]:
    """Training settings; of ``full`` those of the paper: optimiser, batch, EMA, number of updates,
    and ten updates of the network per update of the critic. It does not state the rest."""
    if preset == "preview":
        return {}
    return {
        "minutes": None,
        "steps": 50_000,
        "batch": 8,
        "ema": 0.995,
        "log_steps": 20,
        "optimiser": {"name": "adamw", "lr": 8e-5, "schedule": "constant", "weight_decay": 1e-5},
        "loss": {"critic": "transport", "weight": 0.1, "critic_channels": 64, "critic_every": 10},
        "data": {"cache": 4000},
        "validation": {"every_minutes": 60.0},
    }
