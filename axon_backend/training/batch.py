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


def blend(a: TrainingPair, b: TrainingPair, share: float) -> TrainingPair:
    """A chest between two chests: ``share`` of ``a`` and the rest of ``b``.

    A radiograph is linear in the attenuation, so the blend of the pictures is the picture of the
    blend (up to the HU window's clipping and the beams' small difference). Few patients become
    many pairs of patients.
    """

    def mix(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return share * x.astype(np.float32) + (1 - share) * y.astype(np.float32)

    return TrainingPair(
        volume=np.rint(mix(a.volume, b.volume)).astype(np.uint8),
        views=mix(a.views, b.views).astype(np.float16),
        beam=mix(a.beam, b.beam).astype(np.float32),
    )


class Batches:
    """An endless iterator over random batches, prepared one ahead in a thread.

    ``blended`` is the share of pairs that are a :func:`blend` of two of the same view (PA with
    PA, AP with AP).
    """

    def __init__(
        self, pool: PairPool, size: int, rng: np.random.Generator, *, blended: float = 0.0
    ) -> None:
        self._pool, self._size, self._rng, self._blended = pool, size, rng, blended
        self._queue: queue.Queue[Batch | Exception] = queue.Queue(maxsize=4)
        threading.Thread(target=self._fill, daemon=True).start()

    def _pair(self) -> TrainingPair:
        pair = self._pool.draw(self._rng)
        if self._rng.random() >= self._blended:
            return pair
        other = self._pool.draw(self._rng)
        while np.sign(other.beam[0]) != np.sign(pair.beam[0]):
            other = self._pool.draw(self._rng)
        return blend(pair, other, float(self._rng.uniform(0.2, 0.8)))

    def _fill(self) -> None:
        while True:
            try:
                pairs = [self._pair() for _ in range(self._size)]
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
