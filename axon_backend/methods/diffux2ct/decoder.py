"""The implicit neural decoder: from a voxel's features in three planes to its condition."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from axon_backend.methods.diffux2ct.config import LOOKUPS, DecoderConfig
from axon_backend.methods.diffux2ct.tri_plane import Planes
from axon_backend.networks.lifting import lift


def fourier_features(size: int, frequencies: int, device: torch.device) -> torch.Tensor:
    """``sin(2^k pi c), cos(2^k pi c)`` of the ``size`` voxel centres c in (-1, 1) along an axis,
    k below ``frequencies``: (size, 2 frequencies)."""
    centre = (torch.arange(size, device=device) + 0.5) / size * 2 - 1
    octaves = math.pi * 2.0 ** torch.arange(frequencies, device=device)
    angle = centre[:, None] * octaves
    return torch.cat([angle.sin(), angle.cos()], 1)


class ImplicitDecoder(nn.Module):
    """An MLP of a voxel's samples of the three planes and of its position, at one resolution.

    All voxels lie on a grid, so each layer is one matrix product over all of them. The first layer
    is linear in its inputs, so it is applied to the features of the axial plane and of each
    coordinate before they are broadcast along the axes that they do not depend on.

    Args:
        planes: channels of each plane.
        config: see :class:`DecoderConfig`.

    Forward: planes, side n, (B, 2) beam -> (B, features, n, n, n).
    """

    def __init__(self, planes: int, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        wide = config.hidden
        self.frontal = nn.Linear(planes, wide)
        self.lateral = nn.Linear(planes, wide, bias=False)
        self.axial = nn.Linear(planes, wide, bias=False)
        waves = 2 * config.frequencies
        self.position = nn.ModuleList(nn.Linear(waves, wide, bias=False) for _ in "zyx")
        self.mlp = nn.Sequential(
            nn.SiLU(),
            nn.Linear(wide, wide),
            nn.SiLU(),
            nn.Linear(wide, wide),
            nn.SiLU(),
            nn.Linear(wide, config.features),
        )

    def forward(self, planes: Planes, size: int, beam: torch.Tensor) -> torch.Tensor:
        how = LOOKUPS[self.config.lookup]
        zx, zy, yx = (F.adaptive_avg_pool2d(plane, size) for plane in planes)
        # Channels last, (B, z, y, x, C), from here on.
        x = self.frontal(lift(zx, size, True, how, beam[:, 0]).movedim(1, -1))
        x = x + self.lateral(lift(zy, size, False, how, beam[:, 1]).movedim(1, -1))
        x = x + self.axial(yx.movedim(1, -1))[:, None]
        waves = fourier_features(size, self.config.frequencies, yx.device)
        shapes = ((size, 1, 1), (1, size, 1), (1, 1, size))
        for layer, shape in zip(self.position, shapes, strict=True):
            x = x + layer(waves).reshape(*shape, -1)
        return self.mlp(x).movedim(-1, 1)


class LevelDecoders(nn.Module):
    """A separate decoder for each level of the denoiser.

    Args:
        planes: channels of each plane.
        config: configuration of every decoder.
        sizes: sides of the denoiser's levels.

    Forward: planes, (B, 2) beam -> the conditions, level by level.
    """

    def __init__(self, planes: int, config: DecoderConfig, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.sizes = sizes
        self.levels = nn.ModuleList(ImplicitDecoder(planes, config) for _ in sizes)

    def forward(self, planes: Planes, beam: torch.Tensor) -> list[torch.Tensor]:
        pairs = zip(self.levels, self.sizes, strict=True)
        return [level(planes, size, beam) for level, size in pairs]
