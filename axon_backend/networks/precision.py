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


def computes_in_bfloat16(device: torch.device | str = "cpu", always: bool = False) -> bool:
    """Whether :func:`autocast` runs convolutions in bfloat16 there."""
    kind = torch.device(device).type
    return always or kind == "cuda" or (kind == "cpu" and cpu_has_bfloat16())


def autocast(device: torch.device | str = "cpu", always: bool = False) -> torch.autocast:
    """Run convolutions in bfloat16 on GPUs and on CPUs that support it; normalisations and sums
    stay in float32. Elsewhere everything stays in float32, unless ``always``."""
    enabled = computes_in_bfloat16(device, always)
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=enabled)


# Their parameters are used in nothing that autocast leaves in float32.
_PRODUCTS = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    nn.Linear,
)


def store_as_computed(
    module: nn.Module, device: torch.device | str = "cpu", always: bool = False
) -> nn.Module:
    """Store the parameters of convolutions and linear layers in the type that :func:`autocast`
    would convert them to in each call: the same results, and with bfloat16 half the memory.

    Only for inference under ``autocast(device, always)``. The module is changed and returned.
    """
    kind = torch.bfloat16 if computes_in_bfloat16(device, always) else torch.float32
    for part in module.modules():
        if isinstance(part, _PRODUCTS):
            for parameter in part.parameters(recurse=False):
                parameter.data = parameter.data.to(kind)
    return module


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
