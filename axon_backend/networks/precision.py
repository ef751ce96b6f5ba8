"""bfloat16 where the hardware supports it, or where memory is short."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Precision:
    """The precision that a model computes in, shared by its parts.

    Attributes:
        always_bfloat16: compute in bfloat16 even where the hardware does not favour it.
    """

    always_bfloat16: bool = False


@lru_cache(maxsize=1)
def cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 natively (AVX-512 or AMX). Elsewhere bfloat16 is
    emulated and several times slower than float32."""
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):  # a build without oneDNN
        return False


def autocast(device: torch.device | str = "cpu", always: bool = False) -> torch.autocast:
    """Run convolutions in bfloat16 on GPUs and on CPUs that support it; normalisations and sums
    stay in float32. Elsewhere everything stays in float32, unless ``always``."""
    kind = torch.device(device).type
    enabled = always or kind == "cuda" or (kind == "cpu" and cpu_has_bfloat16())
    return torch.autocast(kind, torch.bfloat16, enabled=enabled)


def keep_in_bfloat16(module: nn.Module) -> nn.Module:
    """Store parameters in bfloat16, and let group normalisation return its input's type.

    Halves the memory of weights and of most activations (on GPUs autocast normalises in float32).
    Only for inference under ``autocast(device, always=True)``. Buffers, such as the mean volume,
    keep their precision. The module is changed and returned.
    """
    for parameter in module.parameters():
        parameter.data = parameter.data.to(torch.bfloat16)
    for part in module.modules():
        if type(part) in (nn.GroupNorm, _WideGroupNorm):
            part.__class__ = _NarrowGroupNorm
    return module


def normalise_in_float32(module: nn.Module) -> nn.Module:
    """Let group normalisation compute in and return float32 on CPUs, as autocast does on GPUs.

    On CPUs (torch 2.13), its gradient in channels-last bfloat16 takes three times as long. The
    module is changed and returned; its weights keep their names.
    """
    for part in module.modules():
        if type(part) is nn.GroupNorm:
            part.__class__ = _WideGroupNorm
    return module


class _WideGroupNorm(nn.GroupNorm):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.float())


class _NarrowGroupNorm(nn.GroupNorm):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(x.device.type, enabled=False):
            weight, bias = (p if p is None else p.to(x.dtype) for p in (self.weight, self.bias))
            return F.group_norm(x, self.num_groups, weight, bias, self.eps)
