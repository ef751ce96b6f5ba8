"""Batches for the trainers: pairs from a pool, with the appearance augmentation."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from axon_backend.imaging.standardise import standardise_view
from axon_backend.training.appearance import AppearanceAugmentation, alter
from axon_backend.training.pairs import TrainingPair
from axon_backend.training.pool import PairPool


@dataclass
class Batch:
    """``volume`` (B, 1, h, h, h) and ``fine`` (B, 1, 2h, 2h, 2h) in [-1, 1]; ``frontal`` and
    ``lateral`` (B, 1, s, s) standardised; ``beam`` (B, 2)."""

    volume: torch.Tensor
    fine: torch.Tensor
    frontal: torch.Tensor
    lateral: torch.Tensor
    beam: torch.Tensor


def collate(
    pairs: list[TrainingPair],
    rng: np.random.Generator | None = None,
    appearance: AppearanceAugmentation | None = None,
) -> Batch:
    """Stack pairs; with ``rng`` their views get a random clinical look."""
    fine = torch.stack([torch.as_tensor(p.volume) for p in pairs])[:, None].float() / 127.5 - 1
    views = torch.stack([torch.as_tensor(p.views.astype(np.float32)) for p in pairs])
    if rng is not None:
        look = appearance or AppearanceAugmentation()
        views = torch.stack(
            [
                torch.stack([alter(v[None, None].clone(), rng, look)[0, 0] for v in pair])
                for pair in views
            ]
        )
    return Batch(
        volume=F.avg_pool3d(fine, 2),
        fine=fine,
        frontal=standardise_view(views[:, :1]),
        lateral=standardise_view(views[:, 1:]),
        beam=torch.stack([torch.as_tensor(p.beam) for p in pairs]),
    )


class Batches:
    """An endless iterator over random batches, prepared one ahead in a thread."""

    def __init__(self, pool: PairPool, size: int, rng: np.random.Generator) -> None:
        self._pool, self._size, self._rng = pool, size, rng
        self._queue: queue.Queue[Batch | Exception] = queue.Queue(maxsize=4)
        threading.Thread(target=self._fill, daemon=True).start()

    def _fill(self) -> None:
        while True:
            try:
                pairs = [self._pool.draw(self._rng) for _ in range(self._size)]
                self._queue.put(collate(pairs, self._rng))
            except Exception as error:  # raised where the trainer asks, which would wait forever
                self._queue.put(error)
                return

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> Batch:
        batch = self._queue.get()
        if isinstance(batch, Exception):
            self._queue.put(batch)  # for whoever asks again
            raise batch
        return batch
