"""Made-up training batches for methods that make a volume in one pass."""

from __future__ import annotations

import torch

from axon_backend.methods.batch import Batch, Draws


def sample(seed: int, grid: int, view: int, single: bool = False) -> Batch:
    """One smooth volume, its mean projections as views, and draws."""
    g = torch.Generator().manual_seed(seed)
    volume = torch.nn.functional.interpolate(
        torch.randn(1, 1, 5, 5, 5, generator=g), size=(grid,) * 3, mode="trilinear"
    ).clamp(-1, 1)
    u = torch.rand((1, 7), generator=g, dtype=torch.float64)
    draws = Draws(
        single=torch.tensor([single]),
        t=u[:, 0],
        t_end=u[:, 1],
        augmentation=u[:, 2],
        kind=u[:, 3],
        crop=u[:, 4:],
        noise=torch.randn(volume.shape, generator=g),
        seeds=torch.tensor([seed + 100]),
    )
    views = [
        torch.nn.functional.interpolate(volume.mean(axis).flip(2), size=(view, view))
        for axis in (3, 4)
    ]
    return Batch(volume, volume, *views, torch.tensor([[0.07, -0.09]]), draws)
