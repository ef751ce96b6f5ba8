"""One vector per X-ray, which encodes its content without positions."""

from __future__ import annotations

import torch
from torch import nn

from axon_backend.methods.global_vector_ldm.config import ViewEncoderConfig
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.networks.blocks import ResBlock, average_down, conv

# Smallest share of each training batch in the running mean and variance of the vectors.
_MOMENTUM = 0.01
# The variance before any vector has been seen: about that of the vectors of random weights.
_FIRST_VARIANCE = 0.01
# Added to the variance of an image, so that an empty one stays finite.
_LEAST_VARIANCE = 1e-6


class GlobalViewEncoder(nn.Module):
    """A residual network with weights shared by the views, pooled over the image.

    With random weights, what distinguishes the vectors of two patients is small compared with what
    they have in common and with the effect of the grey scale, and a denoiser that sees most of the
    latents in their noisy version is slow to find it. So each image is standardised to zero mean
    and unit variance, the features are pooled without a normalisation, which would remove most of
    their means, and each view's vectors are standardised, entry by entry, with their mean and
    variance in training.

    Forward: views -> (B, 2, width), the vectors of the frontal and the lateral view; a learned
    vector replaces that of a missing lateral view. In training mode, the mean and variance are
    updated.
    """

    mean: torch.Tensor
    variance: torch.Tensor
    seen: torch.Tensor

    def __init__(self, config: ViewEncoderConfig) -> None:
        super().__init__()
        self.config = config
        c = config.channels
        layers: list[nn.Module] = [conv(2, 1, c[0], 3, 2)]
        for here, below in zip(c[:-1], c[1:], strict=True):
            layers += [ResBlock(2, here, here), conv(2, here, below, 3, 2)]
        self.body = nn.Sequential(*layers, ResBlock(2, c[-1], c[-1]), nn.SiLU())
        self.head = nn.Linear(c[-1], config.width)
        self.register_buffer("mean", torch.zeros(2, config.width))
        self.register_buffer("variance", torch.full((2, config.width), _FIRST_VARIANCE))
        self.register_buffer("seen", torch.ones(2))
        # Distinguishes the views, which pass through the same network.
        self.view_bias = nn.Parameter(torch.zeros(2, config.width))
        self.no_lateral = nn.Parameter(torch.zeros(config.width))

    def vector(self, view: torch.Tensor, which: int) -> torch.Tensor:
        """A view (B, 1, S, S), 0 frontal or 1 lateral -> (B, width)."""
        image = average_down(view, self.config.view_size)
        variance, mean = torch.var_mean(image, (2, 3), correction=0, keepdim=True)
        features = self.body((image - mean) / (variance + _LEAST_VARIANCE).sqrt())
        vector = self.head(features.mean((2, 3))).float()
        if self.training:
            self._track(vector.detach(), which)
        standardised = (vector - self.mean[which]) / self.variance[which].sqrt()
        return standardised + self.view_bias[which]

    @torch.no_grad()
    def _track(self, vector: torch.Tensor, which: int) -> None:
        """Update a view's running mean and variance; the first samples count alike."""
        share = max(_MOMENTUM, 1 / (1 + float(self.seen[which])))
        self.seen[which] += 1
        self.mean[which] = self.mean[which].lerp(vector.mean(0), share)
        spread = (vector - self.mean[which]).square().mean(0)
        self.variance[which] = self.variance[which].lerp(spread, share)

    def forward(self, views: RegisteredViews) -> torch.Tensor:
        frontal = self.vector(views.frontal, 0)
        lateral = self.no_lateral.expand_as(frontal)
        if views.lateral is not None:
            seen, present = self.vector(views.lateral, 1), views.lateral_present[:, None]
            # If all are present, the constant still gets a gradient, of zero, which averaging over
            # processes requires for every parameter.
            lateral = torch.where(present, seen, lateral)
        return torch.stack([frontal, lateral], 1)
