"""One vector per X-ray, which encodes its content without positions."""

from __future__ import annotations

import torch
from torch import nn

from axon_backend.methods.global_vector_ldm.config import ViewEncoderConfig
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.networks.blocks import ResBlock, average_down, conv, norm


class GlobalViewEncoder(nn.Module):
    """A residual network with weights shared by the views, pooled over the image.

    Forward: views -> (B, 2, width), the vectors of the frontal and the lateral view; a learned
    vector replaces that of a missing lateral view.
    """

    def __init__(self, config: ViewEncoderConfig) -> None:
        super().__init__()
        self.config = config
        c = config.channels
        layers: list[nn.Module] = [conv(2, 1, c[0], 3, 2)]
        for here, below in zip(c[:-1], c[1:], strict=True):
            layers += [ResBlock(2, here, here), conv(2, here, below, 3, 2)]
        self.body = nn.Sequential(*layers, ResBlock(2, c[-1], c[-1]), norm(c[-1]), nn.SiLU())
        self.head = nn.Linear(c[-1], config.width)
        # Distinguishes the views, which pass through the same network.
        self.view_bias = nn.Parameter(torch.zeros(2, config.width))
        self.no_lateral = nn.Parameter(torch.zeros(config.width))

    def vector(self, view: torch.Tensor, which: int) -> torch.Tensor:
        """A view (B, 1, S, S), 0 frontal or 1 lateral -> (B, width)."""
        features = self.body(average_down(view, self.config.view_size))
        return self.head(features.mean((2, 3))).float() + self.view_bias[which]

    def forward(self, views: RegisteredViews) -> torch.Tensor:
        frontal = self.vector(views.frontal, 0)
        lateral = self.no_lateral.expand_as(frontal)
        if views.lateral is not None:
            seen, present = self.vector(views.lateral, 1), views.lateral_present[:, None]
            # If all are present, the constant still gets a gradient, of zero, which averaging over
            # processes requires for every parameter.
            lateral = torch.where(present, seen, lateral)
        return torch.stack([frontal, lateral], 1)
