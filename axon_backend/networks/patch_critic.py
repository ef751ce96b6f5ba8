"""A 3-D PatchGAN discriminator."""

from __future__ import annotations

import torch
from torch import nn


class PatchCritic(nn.Module):
    """Scores each patch of a volume (Isola et al. 2017, there in 2-D): convolutions with kernel 4,
    the first ``layers`` with stride 2 and doubling channels, then two with stride 1; instance
    normalisation except for the first and the last, leaky ReLU 0.2.

    Args:
        channels_in: channels of volume and conditions.
        channels: channels of the first layer.
        layers: number of layers with stride 2.

    Forward: (B, channels_in, D, D, D) -> (B, 1, P, P, P), P = D / 2^layers - 2.
    """

    def __init__(self, channels_in: int, channels: int = 64, layers: int = 3) -> None:
        super().__init__()
        parts: list[nn.Module] = [nn.Conv3d(channels_in, channels, 4, 2, 1), nn.LeakyReLU(0.2)]
        here = channels
        for i in range(1, layers + 1):
            out = channels * min(2**i, 8)
            parts += [
                nn.Conv3d(here, out, 4, 2 if i < layers else 1, 1),
                nn.InstanceNorm3d(out),
                nn.LeakyReLU(0.2),
            ]
            here = out
        parts.append(nn.Conv3d(here, 1, 4, 1, 1))
        self.net = nn.Sequential(*parts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x).float()
