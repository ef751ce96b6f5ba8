"""SR-Net: a slice-wise RRDB network, then a 3-D transposed convolution (paper, section 3.3)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from axon_backend.networks.blocks import zero

# Axial slices processed by the trunk at a time, which limits memory; a GPU is not busy with few.
SLICES, CPU_SLICES = 16, 8
# Input slices on either side of a slab that influence it: one per transposed convolution (at most
# two).
_SLAB_MARGIN = 2


@dataclass(frozen=True)
class SRConfig:
    """Settings of :class:`SRNet`.

    Attributes:
        gamma: upsampling factor, 1, 2 or 4 (1 returns the volume unchanged).
        features: channels of the trunk (the paper: 16).
        blocks: RRDBs (the paper: 6).
        growth: channels that each layer of a dense block adds.
    """

    gamma: int = 2
    features: int = 16
    blocks: int = 6
    growth: int = 8

    def __post_init__(self) -> None:
        if self.gamma not in (1, 2, 4):
            raise ValueError(f"gamma must be 1, 2 or 4, got {self.gamma}")


def _at_once(x: torch.Tensor) -> int:
    return CPU_SLICES if x.device.type == "cpu" else SLICES


class DenseBlock(nn.Module):
    """Five densely connected 3x3 convolutions; the residual is scaled by 0.2 (ESRGAN)."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv2d(features + i * growth, growth if i < 4 else features, 3, padding=1)
            for i in range(5)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        known = x
        for layer in self.layers[:-1]:
            known = torch.cat([known, F.leaky_relu(layer(known), 0.2, inplace=True)], 1)
        return x + 0.2 * self.layers[-1](known)


class RRDB(nn.Module):
    """Residual in residual dense block (Wang et al. 2018)."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*[DenseBlock(features, growth) for _ in range(3)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 0.2 * self.body(x)


class SRNet(nn.Module):
    """(B, 1, h, h, h) -> (B, 1, g h, g h, g h) in normalised HU.

    Axial slices pass through a 2-D RRDB network as a batch and are upsampled in plane; transposed
    3-D convolutions upsample along z and connect the slices. The result is added to a trilinear
    interpolation, which an untrained network returns unchanged.
    """

    def __init__(self, config: SRConfig) -> None:
        super().__init__()
        self.config = config
        f = config.features
        doublings = int(math.log2(config.gamma))
        self.first = nn.Conv2d(1, f, 3, padding=1)
        self.trunk = nn.Sequential(*[RRDB(f, config.growth) for _ in range(config.blocks)])
        self.last = nn.Conv2d(f, f, 3, padding=1)
        self.enlarge = nn.ModuleList(nn.Conv2d(f, f, 3, padding=1) for _ in range(doublings))
        self.through = nn.ModuleList(
            nn.ConvTranspose3d(f, f if i + 1 < doublings else 1, (4, 3, 3), (2, 1, 1), (1, 1, 1))
            for i in range(doublings)
        )
        if doublings:
            zero(self.through[-1])

    def _features(self, x: torch.Tensor) -> torch.Tensor:
        """(B, 1, z, h, h) -> (B, f, z, g h, g h), slice by slice."""
        b, _, z, y, w = x.shape
        slices = x.transpose(1, 2).reshape(b * z, 1, y, w)
        features = torch.cat([self._slices(s) for s in slices.split(_at_once(x))])
        return features.reshape(b, z, *features.shape[1:]).transpose(1, 2)

    def _slices(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 1, h, h) slices -> (N, f, g h, g h) features."""
        # With one channel, the input has both memory formats, and the convolution returns the
        # slower one, which every following layer would have to copy.
        x = self.first(x).contiguous(memory_format=torch.channels_last)
        x = x + self.last(self.trunk(x))
        for conv in self.enlarge:
            x = conv(F.interpolate(x, scale_factor=2, mode="nearest"))
            x = F.leaky_relu(x, 0.2, inplace=True)
        return x

    def _joined(self, features: torch.Tensor) -> torch.Tensor:
        """(B, f, z, g h, g h) features -> (B, 1, g z, g h, g h) in float32."""
        for i, layer in enumerate(self.through):
            features = layer(features if i == 0 else F.leaky_relu(features, 0.2))
        return features.float()

    def forward(self, x: torch.Tensor, slab: int | None = None) -> torch.Tensor:
        """Upsample a volume, ``slab`` input slices at a time (None: all in training, else
        as many as pass the trunk).

        A slab is joined with as many neighbouring slices as the transposed convolutions reach, so
        that the result equals that of the whole volume, with the memory of a slab.
        """
        g, depth = self.config.gamma, x.shape[2]
        if g == 1:
            return x
        if slab is None:
            slab = depth if torch.is_grad_enabled() else _at_once(x)
        out = F.interpolate(x.float(), scale_factor=g, mode="trilinear", align_corners=False)
        if slab >= depth:
            return out + self._joined(self._features(x))
        low, known = 0, self._features(x[:, :, : slab + _SLAB_MARGIN])  # of the slices from `low`
        for first in range(0, depth, slab):
            last = min(first + slab, depth)
            start, end = max(0, first - _SLAB_MARGIN), min(depth, last + _SLAB_MARGIN)
            done = low + known.shape[2]
            known = known[:, :, start - low :]
            if done < end:
                known = torch.cat([known, self._features(x[:, :, done:end])], 2)
            low = start
            part = self._joined(known)[:, :, g * (first - low) : g * (last - low)]
            out[:, :, g * first : g * last] += part
        return out
