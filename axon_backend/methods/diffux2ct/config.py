"""Configuration of a DiffuX2CT model, settings of its losses, and presets."""

from __future__ import annotations

from dataclasses import dataclass, field

from axon_backend.diffusion.from_noise import NoiseSampling
from axon_backend.diffusion.gaussian import GaussianDiffusion
from axon_backend.imaging.frame import HuWindow
from axon_backend.methods.protocol import OneGridConfig

# {how voxels are looked up in the frontal and lateral planes: the lifting of that geometry}.
LOOKUPS = {"cone": "backproject", "orthographic": "repeat"}


@dataclass(frozen=True)
class TriPlaneConfig:
    """Settings of the tri-plane decoupling generator.

    Attributes:
        view_size: side of the first convolution's input; a larger image is averaged down to it.
        size: side of the planes; ``view_size`` or half of it.
        channels: channels of the 2-D U-Net's levels, from side ``size`` down, halving at each.
        blocks: residual blocks at the U-Net's coarsest level.
        planes: channels of each plane.
        rank: channels of the two factors of the axial plane.
        axial: channels of the small U-Net after the bilinear form.
    """

    view_size: int = 128
    size: int = 64
    channels: tuple[int, ...] = (32, 64, 96, 128)
    blocks: int = 2
    planes: int = 16
    rank: int = 16
    axial: tuple[int, ...] = (32, 64)

    def __post_init__(self) -> None:
        if self.view_size not in (self.size, 2 * self.size):
            raise ValueError(
                f"view_size is {self.view_size}; it must be size ({self.size}) or twice that"
            )


@dataclass(frozen=True)
class DecoderConfig:
    """Settings of the implicit neural decoder.

    Attributes:
        features: channels of the condition, the same at each level of the denoiser.
        hidden: width of the three hidden layers.
        frequencies: number of frequencies of a voxel's Fourier features, each with a sine and a
            cosine per axis.
        lookup: one of :data:`LOOKUPS`; ``cone`` follows the rays of the beam, ``orthographic``
            assumes parallel rays (an ablation).
    """

    features: int = 16
    hidden: int = 32
    frequencies: int = 6
    lookup: str = "cone"

    def __post_init__(self) -> None:
        if self.lookup not in LOOKUPS:
            raise ValueError(f"lookup must be one of {', '.join(LOOKUPS)}, got {self.lookup!r}")


@dataclass(frozen=True)
class DenoiserConfig:
    """Settings of the 3-D U-Net with shifted-window attention.

    Attributes:
        channels: channels of each level, fine to coarse.
        windows: side of the attention windows at each level in voxels; 0: no attention.
        patch: space-to-depth factor.
        groups: groups of the group normalisation.
        head_channels: channels of an attention head.
    """

    channels: tuple[int, ...] = (32, 64, 96)
    windows: tuple[int, ...] = (0, 4, 4)
    patch: int = 2
    groups: int = 16
    head_channels: int = 32

    def __post_init__(self) -> None:
        if len(self.windows) != len(self.channels):
            raise ValueError(
                f"windows has {len(self.windows)} entries, channels {len(self.channels)}; "
                "each level needs one entry in both"
            )


@dataclass(frozen=True)
class DiffuX2CTConfig(OneGridConfig):
    """Everything that defines a DiffuX2CT model except its weights.

    Attributes:
        size: h, side of the volume in voxels; divisible by ``patch * 2 ** (levels - 1)``.
        window: the HU that are mapped to -1 and 1.
    """

    size: int = 64
    tri_plane: TriPlaneConfig = field(default_factory=TriPlaneConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    diffusion: GaussianDiffusion = field(
        default_factory=lambda: GaussianDiffusion(
            beta_start=1e-4, beta_end=2e-2, schedule="linear_beta", prediction="sample"
        )
    )
    sampling: NoiseSampling = field(default_factory=NoiseSampling)
    window: HuWindow = field(default_factory=HuWindow)

    networks = ("tri_plane", "decoder", "denoiser")

    def __post_init__(self) -> None:
        whole = self.denoiser.patch * 2 ** (len(self.denoiser.channels) - 1)
        if self.size % whole:
            raise ValueError(f"size is {self.size}; it must be a multiple of {whole}")

    @property
    def view_size(self) -> int:
        """Side in pixels of the views that the generator takes."""
        return self.tri_plane.view_size

    @property
    def grid(self) -> int:
        """Side of the volume in voxels."""
        return self.size

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """Side of the denoiser's feature volumes, level by level."""
        first = self.size // self.denoiser.patch
        return tuple(first >> level for level in range(len(self.denoiser.channels)))


@dataclass(frozen=True)
class DiffuX2CTLoss:
    """Settings of the losses.

    Attributes:
        projection: lambda, weight of the geometry projection loss (the paper: 1 / T).
        projection_until: the geometry projection loss applies to times below this share of T. At
            later times, the estimate of the CT is noise divided by a small number.
    """

    projection: float = 1e-3
    projection_until: float = 0.8

    def __post_init__(self) -> None:
        if not 0.0 <= self.projection_until <= 1.0:
            raise ValueError(
                f"projection_until is {self.projection_until:g}; it must be between 0 and 1"
            )


def preview() -> DiffuX2CTConfig:
    """64^3, designed for CPUs. The network predicts the CT, from which the noise follows exactly.
    After a short training, predictions of the noise or of v have errors that sampling
    amplifies."""
    return DiffuX2CTConfig()


def full() -> DiffuX2CTConfig:
    """128^3, with one more denoiser level, predicting the noise as in the paper."""
    return DiffuX2CTConfig(
        size=128,
        tri_plane=TriPlaneConfig(
            view_size=128,
            size=128,
            channels=(64, 128, 256, 256),
            planes=32,
            rank=32,
            axial=(64, 128),
        ),
        decoder=DecoderConfig(features=32, hidden=64),
        denoiser=DenoiserConfig(
            channels=(32, 64, 128, 256), windows=(0, 0, 4, 4), patch=1, groups=32
        ),
        diffusion=GaussianDiffusion(
            beta_start=1e-4, beta_end=2e-2, schedule="linear_beta", prediction="epsilon"
        ),
    )


PRESETS = {"preview": preview, "full": full}
