"""Standardisation of the grey scale of registered views for the networks."""

from __future__ import annotations

import torch

# Quantiles of the image that are mapped to -1 and 1; values beyond are clipped at +-LIMIT.
LOW_QUANTILE, HIGH_QUANTILE = 0.01, 0.99
LIMIT = 1.25


def standardise_view(view: torch.Tensor, valid: torch.Tensor | None = None) -> torch.Tensor:
    """Map log-linear pixels to about [-1, 1], independent of their gain and offset.

    Args:
        view: (B, 1, S, S) pixels, proportional to the line integral up to an affine map.
        valid: (B, 1, S, S) bool, False outside the exposed field; those pixels become -1,
            the value of air.

    Returns:
        (B, 1, S, S) float32.
    """
    out = view.to(torch.float32, copy=True)
    for i, image in enumerate(out):
        pixels = image.reshape(-1)
        # A regular subset is enough for two quantiles and keeps torch.quantile within its limit.
        if valid is None:
            sample = pixels[:: _stride(pixels.numel())]
        else:
            inside = valid[i].reshape(-1).nonzero()[:, 0]
            sample = pixels[inside[:: _stride(inside.numel())]]
        quantiles = torch.tensor([LOW_QUANTILE, HIGH_QUANTILE], device=sample.device)
        low, high = torch.quantile(sample, quantiles)
        image.sub_(low).div_((high - low).clamp_min(1e-6)).mul_(2).sub_(1)  # in place: large images
    out.clamp_(-LIMIT, LIMIT)
    return out if valid is None else out.masked_fill_(~valid, -1.0)


def _stride(count: int) -> int:
    return max(1, count // 65536)
