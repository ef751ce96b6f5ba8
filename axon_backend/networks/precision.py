"""bfloat16 where the hardware computes in it."""

from __future__ import annotations

from functools import lru_cache

import torch


@lru_cache(maxsize=1)
def cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 itself (AVX-512 or AMX). Elsewhere bfloat16 is emulated
    and several times slower than float32."""
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):  # a build without oneDNN
        return False


def autocast(device: torch.device | str = "cpu") -> torch.autocast:
    """Run convolutions in bfloat16 on GPUs and on CPUs that have it; normalisations and sums stay
    float32. Elsewhere everything stays float32."""
    kind = torch.device(device).type
    enabled = kind == "cuda" or (kind == "cpu" and cpu_has_bfloat16())
    return torch.autocast(kind, torch.bfloat16, enabled=enabled)
