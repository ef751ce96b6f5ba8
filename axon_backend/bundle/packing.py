"""Storage of weights in eight bits, which halves the size of a bundle.

A weight W (out, ...) is stored as integers q in [-127, 127] and one scale per output channel,
``W = scale * q``: symmetric quantisation, with an error of at most half a scale per value.
Computation remains in floating point. Other tensors, and weights with fewer than ``MIN_VALUES``
values, are stored in half precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Suffixes of the keys of a packed weight; names of torch parameters contain no "/".
NUMBERS, SCALE = "/int8", "/scale"
MIN_VALUES = 1024


def pack(key: str, weight: torch.Tensor) -> dict[str, torch.Tensor]:
    """The stored form of a floating-point tensor: one or two tensors by key."""
    import torch

    if not key.endswith("weight") or weight.ndim < 2 or weight.numel() < MIN_VALUES:
        return {key: weight.to(torch.float16)}
    rows = weight.float().flatten(1)
    scale = (rows.abs().amax(1) / 127.0).clamp_min(torch.finfo(torch.float32).tiny)
    numbers = (rows / scale[:, None]).round().to(torch.int8).reshape(weight.shape)
    return {key + NUMBERS: numbers, key + SCALE: scale}


def unpack(stored: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Inverse of :func:`pack` for a whole network; packed weights are returned as float32."""
    out = {}
    for key, tensor in stored.items():
        if key.endswith(NUMBERS):
            name = key.removesuffix(NUMBERS)
            scale = stored[name + SCALE]
            out[name] = tensor.float() * scale.reshape(-1, *[1] * (tensor.ndim - 1))
        elif not key.endswith(SCALE):
            out[key] = tensor
    return out
