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
    out = torch.empty_like(view, dtype=torch.float32)
    for i in range(view.shape[0]):
        image = view[i].float()
        inside = image if valid is None else image[valid[i]]
        # A regular subset is enough for two quantiles and keeps torch.quantile within its limit.
        sample = inside.reshape(-1)
        sample = sample[:: max(1, sample.numel() // 65536)]
        quantiles = torch.tensor([LOW_QUANTILE, HIGH_QUANTILE], device=sample.device)
        low, high = torch.quantile(sample, quantiles)
        out[i] = (image - low) / (high - low).clamp_min(1e-6) * 2 - 1
    out = out.clamp(-LIMIT, LIMIT)
    return out if valid is None else torch.where(valid, out, torch.full_like(out, -1.0))
