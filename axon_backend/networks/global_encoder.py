"""The global encoder: one vector that summarises the X-rays (Table 4, "+ global enc.").

The paper mentions an "additional global encoder" of stage 2, which its final model omits, but does
not describe it. This one is a small 2-D network with weights shared by the views, pooled over the
image and averaged over the views; its vector is added to the time embedding of stage 2's network,
in addition to the conditioning volume. Its last layer is initialised to zero, so that it has no
effect at first.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from axon_backend.networks.blocks import conv, norm, zero

CHANNELS = (16, 32, 64, 128)


class GlobalEncoder(nn.Module):
    """One or two X-rays -> a vector.

    Args:
        side: side of the first convolution's input; a larger image is averaged down to it.
        width: length of the vector.

    Forward: views (B, 1, S, S), frontal first, and (B,) bool which samples have a lateral one
    (None: all) -> (B, width).
    """

    def __init__(self, side: int, width: int) -> None:
        super().__init__()
        self.side = side
        layers: list[nn.Module] = [conv(2, 1, CHANNELS[0], 3, 2)]
        for here, below in zip(CHANNELS[:-1], CHANNELS[1:], strict=True):
            layers += [norm(here), nn.SiLU(), conv(2, here, below, 3, 2)]
        self.body = nn.Sequential(*layers, norm(CHANNELS[-1]), nn.SiLU())
        # Distinguishes the views, which pass through the same network.
        self.view_bias = nn.Parameter(torch.zeros(2, CHANNELS[-1]))
        self.head = nn.Sequential(
            nn.Linear(CHANNELS[-1], width), nn.SiLU(), zero(nn.Linear(width, width))
        )

    def forward(
        self, views: list[torch.Tensor], has_lateral: torch.Tensor | None = None
    ) -> torch.Tensor:
        pooled = [self.body(F.adaptive_avg_pool2d(v, self.side)).mean((2, 3)) for v in views]
        tokens = [v + self.view_bias[i] for i, v in enumerate(pooled)]
        mean = torch.stack(tokens).mean(0)
        if len(tokens) == 2 and has_lateral is not None:
            mean = torch.where(has_lateral[:, None], mean, tokens[0])
        return self.head(mean)
