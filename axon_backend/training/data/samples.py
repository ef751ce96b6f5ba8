"""Sample ``i`` of a run, as a function of the seed and ``i`` alone.

The pair, its blending partner, its appearance, and the noise and times of its training step all
come from generators seeded with (seed, purpose, i). The step number thus determines the data
order, any process can produce any sample, and the samples do not depend on the number of
processes.
"""

from __future__ import annotations

import numpy as np
import torch

from axon_backend.methods.batch import Batch, Draws
from axon_backend.training.data.augmentation import RadiographAugmentation
from axon_backend.training.data.batch import blend, collate, without_misregistration
from axon_backend.training.data.pairs import TrainingPair
from axon_backend.training.data.source import PairSource

CHOICE, LOOK, STEP, AGAIN, PSEUDO = 0, 1, 2, 3, 4
# Number of uniform random numbers drawn for the training step of a sample.
UNIFORM = 8
# A blend needs two images of the same view (PA or AP): tries to find a partner.
TRIES = 20


class Samples:
    """Samples by global index.

    Args:
        source: the pairs.
        seed: the run's seed.
        cache: number of cached rendered pairs; 0: unlimited pairs.
        blended, real, single_view, pseudo_labelled, pseudo_labelled_single: shares, see
            ``training.config``.
        appearance: augmentation of the views.
        gamma: side of a pair's volume divided by that of the coarse volume.
        fine: whether the large volumes are needed; if not, the coarse ones replace them.
        clean: only DRRs, in their place, with their views before augmentation in ``Batch.clean``.
        repeat_after: period after which samples repeat, seeds included, except for their
            conditioning augmentation and crop; 0: they never repeat.
    """

    def __init__(
        self,
        source: PairSource,
        *,
        seed: int,
        cache: int,
        blended: float,
        real: float | None,
        single_view: float,
        appearance: RadiographAugmentation,
        gamma: int = 2,
        fine: bool = True,
        clean: bool = False,
        repeat_after: int = 0,
        pseudo_labelled: float = 0.0,
        pseudo_labelled_single: float = 0.0,
    ) -> None:
        self.source, self.seed, self.cache = source, seed, cache
        self.blended, self.real, self.single_view = blended, real, single_view
        self.appearance, self.gamma, self.fine = appearance, gamma, fine
        self.clean, self.repeat_after = clean, repeat_after
        self.pseudo_labelled = pseudo_labelled if source.pseudo_labelled else 0.0
        if clean:
            self.real = self.pseudo_labelled = 0.0
            self.appearance = without_misregistration(appearance)
        self.pseudo_labelled_single = pseudo_labelled_single

    def _rng(self, index: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, purpose, index])

    def pseudo_labelled_pair(self, index: int) -> tuple[TrainingPair, bool]:
        """The pair of a sample ``index`` that is a patient with a reconstruction; its views are
        real."""
        which = int(self._rng(index, CHOICE).integers(len(self.source.pseudo_labelled)))
        return self.source.pseudo_labelled_pair(which), True

    def pair(self, index: int) -> tuple[TrainingPair, bool]:
        """The pair of sample ``index``, and whether its views are real."""
        rng, source = self._rng(index, CHOICE), self.source

        def number() -> int:
            # Without a cache, every sample has its own pair and its own blending partner.
            return int(rng.integers(self.cache)) if self.cache else index

        chosen = number()
        if source.with_real and self.real != 0.0:
            case = chosen % len(source.cases)
            if self.real is None:
                # Only half of the time: each real pair exists once, rendered ones are unlimited.
                if case in source.with_real and rng.random() < 0.5:
                    return source.real(case), True
            elif rng.random() < self.real:
                return source.real(source.with_real[int(rng.integers(len(source.with_real)))]), True
        pair = source.rendered(chosen)
        if rng.random() >= self.blended:
            return pair, False
        for _ in range(TRIES):
            partner = number() if self.cache else int(rng.integers(1 << 40))
            other = source.rendered(partner)
            if np.sign(other.beam[0]) == np.sign(pair.beam[0]):
                return blend(pair, other, float(rng.uniform(0.2, 0.8))), False
        return pair, False

    def __getitem__(self, index: int) -> Batch:
        """A batch that holds only sample ``index``, with its random draws."""
        again = self._rng(index, AGAIN)
        if self.repeat_after:
            index %= self.repeat_after
        share = self.pseudo_labelled
        pseudo = bool(share) and self._rng(index, PSEUDO).random() < share
        pair, real = self.pseudo_labelled_pair(index) if pseudo else self.pair(index)
        look = self._rng(index, LOOK)
        batch = collate(
            [pair], look, self.appearance, gamma=self.gamma, real=real, clean=self.clean
        )
        if not self.fine:
            batch.fine = batch.volume
        rng = self._rng(index, STEP)
        single = rng.random() < (self.pseudo_labelled_single if pseudo else self.single_view)
        u = torch.as_tensor(rng.random((1, UNIFORM)))
        fresh = torch.as_tensor(again.random((1, UNIFORM))) if self.repeat_after else u
        seeds = [int(s) for s in rng.integers(1 << 62, size=2)]
        noise = torch.randn(batch.volume.shape, generator=torch.Generator().manual_seed(seeds[0]))
        batch.draws = Draws(
            single=torch.tensor([single]),
            t=u[:, 0],
            t_end=u[:, 1],
            augmentation=fresh[:, 2],
            kind=u[:, 3],
            crop=fresh[:, 4:7],
            noise=noise,
            seeds=torch.tensor([seeds[1]]),
        )
        return batch
