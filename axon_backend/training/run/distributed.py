"""Communication between the processes of a run: stop requests, errors, metrics.

It uses the CPU backend (gloo), so that it never waits for a GPU's queue.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from axon_backend.errors import AxonInputError, Cancelled

Result = TypeVar("Result")


def count() -> int:
    """Number of processes of this run."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


@lru_cache(maxsize=1)
def _group() -> Any:
    return dist.new_group(backend="gloo")


def all_reduce_max(values: list[float]) -> list[float]:
    """Each value's maximum over all processes."""
    if count() == 1:
        return values
    shared = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(shared, dist.ReduceOp.MAX, group=_group())
    return shared.tolist()


def mean(values: list[float]) -> list[float]:
    """Each value's mean over all processes; a NaN in one process is a NaN in all."""
    if count() == 1:
        return values
    shared = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(shared, group=_group())
    return (shared / count()).tolist()


def gather(value: Any) -> list[Any]:
    """The values of all processes, in their order."""
    if count() == 1:
        return [value]
    found: list[Any] = [None] * count()
    dist.all_gather_object(found, value, group=_group())
    return found


def raise_on_any_rank(work: Callable[[], Result]) -> Result:
    """Do ``work`` in every process; if it fails in one, raise in all.

    Otherwise the other processes would wait for the failed one until they are killed.

    Raises:
        Exception: the error of this process.
        Cancelled: another process was asked to stop.
        AxonInputError: another process failed; the message is that of its error.
    """
    if count() == 1:
        return work()
    error: Exception | None = None
    result: Any = None
    try:
        result = work()
    except Exception as caught:
        error = caught
    # A single number is exchanged unless there is an error.
    if not all_reduce_max([float(error is not None)])[0]:
        return result
    errors = gather(None if error is None else (isinstance(error, Cancelled), str(error)))
    if error is not None:
        raise error
    cancelled, text = next(e for e in errors if e is not None)
    if cancelled:
        raise Cancelled(text)
    raise AxonInputError(f"Another process of this run failed: {text}")
