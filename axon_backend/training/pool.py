"""A folder of ready training pairs, filled by worker processes while a trainer reads it.

Drawing a pair costs about as much as a training step on the same core, and all four networks
learn from the same kind of pairs; so pairs are written once and read several times.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from axon_backend.imaging.ct import read_ct
from axon_backend.training.pairs import PairFactory, TrainingPair


def _path(folder: Path, number: int) -> Path:
    return folder / f"pair_{number:06d}.npz"


def fill_pool(
    folder: Path,
    ct_files: list[Path],
    *,
    first: int,
    count: int,
    stride: int = 1,
    seed: int = 0,
    **factory_options: Any,
) -> None:
    """Write pairs ``first, first + stride, ...`` (``count`` in all) unless they are there already.

    Pair ``i`` depends on ``seed`` and ``i`` only, so several workers and restarts agree.
    ``factory_options`` go to :class:`PairFactory`.
    """
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    factory = PairFactory([read_ct(f) for f in ct_files], **factory_options)
    for number in range(first, first + count * stride, stride):
        path = _path(folder, number)
        if path.exists():
            continue
        rng = np.random.default_rng([seed, number])
        # Every patient gets the same share of the pool.
        pair = factory.draw(rng, index=number % len(ct_files))
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        with open(temporary, "wb") as stream:
            np.savez(stream, volume=pair.volume, views=pair.views, beam=pair.beam)
        os.replace(temporary, path)


class PairPool:
    """Random access to the pairs that are in a pool folder by now."""

    def __init__(self, folder: Path, *, minimum: int = 1, timeout_s: float = 3600.0) -> None:
        self.folder = Path(folder)
        self._files: list[Path] = []
        self._looked = 0.0
        start = time.monotonic()
        while len(self.files()) < minimum:
            if time.monotonic() - start > timeout_s:
                raise TimeoutError(
                    f"{self.folder} holds {len(self._files)} training pairs after "
                    f"{timeout_s:.0f} s, {minimum} are needed; are the pool workers running?"
                )
            self._looked = 0.0
            time.sleep(1.0)

    def files(self) -> list[Path]:
        """The pairs present, looked up again every 20 s."""
        if time.monotonic() - self._looked > 20.0 or not self._files:
            self._files = sorted(self.folder.glob("pair_*.npz"))
            self._looked = time.monotonic()
        return self._files

    def draw(self, rng: np.random.Generator) -> TrainingPair:
        """One of the pairs, uniformly."""
        files = self.files()
        with np.load(files[int(rng.integers(len(files)))]) as data:
            return TrainingPair(data["volume"], data["views"], data["beam"])
