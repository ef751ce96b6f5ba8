"""Batches by step, prepared in advance by worker processes while the device computes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from axon_backend.errors import AxonInputError
from axon_backend.methods.batch import Batch
from axon_backend.training.data.samples import Samples

AHEAD = 3  # batches that each worker prepares in advance


class Failure:
    """An error in a worker, returned as a value: torch would wrap an exception in a traceback."""

    def __init__(self, error: Exception) -> None:
        self.is_input = isinstance(error, AxonInputError)
        kind = "" if self.is_input else f"{type(error).__name__}: "
        self.text = f"{kind}{error}"

    def error(self) -> Exception:
        """The exception to raise in the training process."""
        return (AxonInputError if self.is_input else RuntimeError)(self.text)


class _Guarded(Dataset):
    """Samples that return a :class:`Failure` instead of raising."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __getitem__(self, index: int) -> Batch | Failure:
        try:
            return self.samples[index]
        except Exception as error:
            return Failure(error)


def _together(items: list[Batch | Failure]) -> Batch | Failure:
    for item in items:
        if isinstance(item, Failure):
            return item
    return Batch.stack([item for item in items if isinstance(item, Batch)])


def _start_worker(_number: int) -> None:
    # The training process decides when to stop, even if a signal reached the whole group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)


class _Order:
    """The global indices of this process's micro-batches from a step on, without end."""

    def __init__(self, step: int, batch: int, micro: int, rank: int, world: int) -> None:
        self.step, self.batch, self.micro = step, batch, micro
        self.rank, self.share = rank, batch // world

    def __iter__(self) -> Iterator[list[int]]:
        step = self.step
        while True:
            first = step * self.batch + self.rank * self.share
            for i in range(0, self.share, self.micro):
                yield list(range(first + i, first + i + self.micro))
            step += 1


def micro_batch(batch: int, micro: int, world: int) -> int:
    """The number of samples that each of ``world`` processes holds at a time.

    Raises:
        AxonInputError: the batch cannot be divided evenly.
    """
    if batch % world:
        raise AxonInputError(
            f"A batch of {batch} cannot be divided among {world} processes. Set `batch` to a "
            f"multiple of {world}, or start another number of processes."
        )
    share = batch // world
    micro = min(micro, share)
    if share % micro:
        raise AxonInputError(
            f"Each process computes {share} samples of a batch, which is not a multiple of "
            f"micro_batch {micro}. Set micro_batch to a divisor of {share}."
        )
    return micro


def default_workers(processes_here: int) -> int:
    """One less than this process's share of the CPU cores, at least 1 and at most 8."""
    try:
        cores = len(os.sched_getaffinity(0))  # type: ignore[attr-defined,unused-ignore]
    except AttributeError:
        cores = os.cpu_count() or 1
    return max(1, min(8, cores // processes_here - 1))


class Batches:
    """An endless iterator over this process's micro-batches.

    Attributes:
        waited: seconds spent waiting for data so far.
    """

    def __init__(
        self,
        samples: Samples,
        *,
        step: int,
        batch: int,
        micro: int,
        rank: int,
        world: int,
        workers: int,
        pin: bool,
    ) -> None:
        options: dict[str, Any] = {}
        if workers:
            # Not forked: a fork of a process with threads and a GPU context can hang.
            options = {"multiprocessing_context": "spawn", "prefetch_factor": AHEAD}
        self._loader = DataLoader(
            _Guarded(samples),
            batch_sampler=_Order(step, batch, micro, rank, world),
            num_workers=workers,
            collate_fn=_together,
            worker_init_fn=_start_worker if workers else None,
            pin_memory=pin,
            # By default the workers' seed is drawn from torch's global generator, whose state a
            # resumed run restores from the checkpoint.
            generator=torch.Generator(),
            **options,
        )
        self._iterator: Any = None
        self.waited = 0.0

    def __next__(self) -> Batch:
        began = time.perf_counter()
        try:
            if self._iterator is None:
                self._iterator = iter(self._loader)
            item = next(self._iterator)
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise RuntimeError(
                "a process that prepares training data ended unexpectedly, most likely because "
                "memory ran out: lower data.workers or data.memory_gb"
            ) from error
        self.waited += time.perf_counter() - began
        if isinstance(item, Failure):
            raise item.error()
        return item

    def close(self) -> None:
        """Stop the workers."""
        self._iterator = None
