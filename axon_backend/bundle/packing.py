"""Weights in eight bits: half the size on disk, in a repository and on the way to a user.

A weight W (out, ...) is stored as whole numbers in [-127, 127] and one scale for each output
channel, ``W = scale * q``: symmetric quantisation, after which each value is off by at most half a
scale. Computation stays in floating point; what is not a weight of some size stays in half
precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Keys of a packed weight; "/" is in no name of a torch parameter.
NUMBERS, SCALE = "/int8", "/scale"
MIN_VALUES = 1024


def pack(key: str, weight: torch.Tensor) -> dict[str, torch.Tensor]:
    """One floating-point tensor as it is stored, possibly as two tensors."""
    import torch

    if not key.endswith("weight") or weight.ndim < 2 or weight.numel() < MIN_VALUES:
        return {key: weight.to(torch.float16)}
    rows = weight.float().flatten(1)
    scale = (rows.abs().amax(1) / 127.0).clamp_min(torch.finfo(torch.float32).tiny)
    numbers = (rows / scale[:, None]).round().to(torch.int8).reshape(weight.shape)
    return {key + NUMBERS: numbers, key + SCALE: scale}


def unpack(stored: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The inverse of :func:`pack` over a whole network; packed weights come back as float32."""
    out = {}
    for key, tensor in stored.items():
        if key.endswith(NUMBERS):
            name = key.removesuffix(NUMBERS)
            scale = stored[name + SCALE]
            out[name] = tensor.float() * scale.reshape(-1, *[1] * (tensor.ndim - 1))
        elif not key.endswith(SCALE):
            out[key] = tensor
    return out
