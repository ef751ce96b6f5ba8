"""Configuration of a model, settings of its losses, and presets."""

from __future__ import annotations

from dataclasses import dataclass, field

from axon_backend.diffusion.from_noise import NoiseSampling
from axon_backend.diffusion.gaussian import GaussianDiffusion
from axon_backend.imaging.frame import HuWindow
from axon_backend.methods.protocol import OneGridConfig


@dataclass(frozen=True)
class AutoencoderConfig:
    """Settings of the variational autoencoder.

    Attributes:
        channels: channels of each level, fine to coarse; each level after the first halves the
            side.
        latents: channels of the latent volume.
        blocks: residual blocks per level.
        patch: space-to-depth factor before the autoencoder.
        groups: groups of the group normalisation.
    """

    channels: tuple[int, ...] = (32, 64)
    latents: int = 4
    blocks: int = 1
    patch: int = 2
    groups: int = 16

    @property
    def factor(self) -> int:
        """Side of the volume divided by the side of the latents."""
        return self.patch * 2 ** (len(self.channels) - 1)


@dataclass(frozen=True)
class ViewEncoderConfig:
    """Settings of the network that encodes an X-ray as one vector.

    Attributes:
        view_size: side of the first convolution's input; a larger image is averaged down to it.
        channels: channels of each level; each halves the side.
        width: length of the vector.
    """

    view_size: int = 128
    channels: tuple[int, ...] = (16, 32, 64, 128, 256)
    width: int = 512


@dataclass(frozen=True)
class LatentUNetConfig:
    """Settings of the latents' 3-D U-Net.

    Attributes:
        channels: channels of each level, fine to coarse.
        attention: levels with self-attention and cross-attention (the middle always has both).
        blocks: residual blocks per level.
        groups: groups of the group normalisation.
        head_channels: channels of an attention head.
    """

    channels: tuple[int, ...] = (64, 96, 128)
    attention: tuple[bool, ...] = (False, True, True)
    blocks: int = 1
    groups: int = 16
    head_channels: int = 32


@dataclass(frozen=True)
class GlobalVectorConfig(OneGridConfig):
    """Everything that defines a model except its weights.

    Attributes:
        size: h, side of the volume in voxels.
        window: the HU that are mapped to -1 and 1.
    """

    size: int = 64
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    view_encoder: ViewEncoderConfig = field(default_factory=ViewEncoderConfig)
    denoiser: LatentUNetConfig = field(default_factory=LatentUNetConfig)
    diffusion: GaussianDiffusion = field(
        default_factory=lambda: GaussianDiffusion(prediction="sample")
    )
    sampling: NoiseSampling = field(default_factory=lambda: NoiseSampling(clamp=0.0))
    window: HuWindow = field(default_factory=HuWindow)

    networks = ("vae", "xray", "denoiser")

    def __post_init__(self) -> None:
        whole = self.autoencoder.factor * 2 ** (len(self.denoiser.channels) - 1)
        if self.size % whole:
            raise ValueError(f"size is {self.size}; it must be a multiple of {whole}")

    @property
    def view_size(self) -> int:
        """Side in pixels of the views that the view encoder takes."""
        return self.view_encoder.view_size

    @property
    def grid(self) -> int:
        """Side of the volume in voxels."""
        return self.size

    @property
    def latent_shape(self) -> tuple[int, int, int, int]:
        """Channels and sides of a volume's latents."""
        side = self.size // self.autoencoder.factor
        return self.autoencoder.latents, side, side, side


@dataclass(frozen=True)
class GlobalVectorLoss:
    """Settings of the losses.

    Attributes:
        kl: weight of the latents' mean KL divergence from a standard normal distribution.
        t_power: the denoiser's times are ``T u^(1 / t_power)``; 1 is uniform. The X-rays matter
            where noise hides the latents; 2 draws such times more often.
    """

    kl: float = 1e-4
    t_power: float = 1.0

    def __post_init__(self) -> None:
        if not self.t_power > 0:
            raise ValueError(f"t_power is {self.t_power:g}; it must be greater than 0")


def preview() -> GlobalVectorConfig:
    """64^3, latents 4 x 16^3, designed for CPUs."""
    return GlobalVectorConfig()


def full() -> GlobalVectorConfig:
    """128^3, latents 4 x 32^3."""
    return GlobalVectorConfig(
        size=128,
        autoencoder=AutoencoderConfig(channels=(32, 64, 128), blocks=2, patch=1, groups=32),
        view_encoder=ViewEncoderConfig(view_size=256, channels=(32, 64, 128, 256, 512)),
        denoiser=LatentUNetConfig(channels=(64, 128, 256), blocks=2, groups=32),
    )


PRESETS = {"preview": preview, "full": full}
