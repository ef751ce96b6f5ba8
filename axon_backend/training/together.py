"""The processes of one run agree: on when to stop, and on what went wrong anywhere."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist


def count() -> int:
    """Processes of this run."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def largest(values: list[float], device: torch.device) -> list[float]:
    """Each value's maximum over all processes."""
    if count() == 1:
        return values
    shared = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(shared, dist.ReduceOp.MAX)
    return shared.tolist()


def mean(values: list[float], device: torch.device) -> list[float]:
    """Each value's mean over all processes; one that is not a number makes all see it."""
    if count() == 1:
        return values
    shared = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(shared)
    return (shared / count()).tolist()


def gather(value: Any) -> list[Any]:
    """The values of all processes, in their order."""
    if count() == 1:
        return [value]
    found: list[Any] = [None] * count()
    dist.all_gather_object(found, value)
    return found
