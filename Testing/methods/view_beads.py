"""An X-ray of one bright pixel, and where a volume must show it."""

from __future__ import annotations

import torch

from axon_backend.physics.geometry import FIELD_OF_VIEW


def bead(side: int, row: int, column: int) -> torch.Tensor:
    """(1, 1, side, side), zero but for a pixel of 1."""
    view = torch.zeros(1, 1, side, side)
    view[..., row, column] = 1.0
    return view


def near(n: int, side: int, row: int, column: int, reach: float) -> torch.Tensor:
    """(n, n) bool over (z, column axis): voxels whose centre is within ``reach`` voxels, along
    both axes, of the centre of that pixel. Image rows run down, z runs up."""
    centres = (torch.arange(n) + 0.5) / n * 2 - 1
    z = -((row + 0.5) / side * 2 - 1) * FIELD_OF_VIEW
    u = ((column + 0.5) / side * 2 - 1) * FIELD_OF_VIEW
    step = 2 / n * reach
    return ((centres - z).abs() <= step)[:, None] & ((centres - u).abs() <= step)[None]
