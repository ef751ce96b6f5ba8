"""Inputs of objectives: training batches with their random numbers, and validation cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.methods.protocol import RegisteredViews


@dataclass
class Draws:
    """The random numbers of each sample, so that a training step is a function of its samples.

    Attributes:
        single: (B,) bool, whether the lateral view is withheld.
        t: (B,) float64 uniform in [0, 1), for the diffusion time.
        t_end: like ``t``; decides whether the time is the last one.
        augmentation: like ``t``; strength of the conditioning augmentation.
        kind: like ``t``; selects the kind of input.
        crop: (B, 3) float64 uniform in [0, 1), position of a crop (z, y, x).
        noise: (B, 1, h, h, h) standard normal.
        seeds: (B,) int64, seeds of the samples' generators.
    """

    single: torch.Tensor
    t: torch.Tensor
    t_end: torch.Tensor
    augmentation: torch.Tensor
    kind: torch.Tensor
    crop: torch.Tensor
    noise: torch.Tensor
    seeds: torch.Tensor

    def generator(self, i: int) -> torch.Generator:
        """A new generator with the seed of sample ``i``."""
        return torch.Generator().manual_seed(int(self.seeds[i]))

    def generators(self) -> list[torch.Generator]:
        """A new generator for each sample."""
        return [self.generator(i) for i in range(len(self.seeds))]


@dataclass
class Batch:
    """Pairs of X-rays and CTs.

    Attributes:
        volume: (B, 1, h, h, h) in [-1, 1].
        fine: (B, 1, g h, g h, g h) in [-1, 1].
        frontal, lateral: (B, 1, s, s) standardised views.
        beam: (B, 2), see ``RegisteredViews``.
        draws: the random numbers of a training step; None in validation.
        clean: (B, 2, s, s) the views before their appearance was changed, standardised, frontal
            first; None where they are not needed.
    """

    volume: torch.Tensor
    fine: torch.Tensor
    frontal: torch.Tensor
    lateral: torch.Tensor
    beam: torch.Tensor
    draws: Draws | None = None
    clean: torch.Tensor | None = None

    def __len__(self) -> int:
        return self.volume.shape[0]

    def to(self, device: torch.device | str) -> Batch:
        """The batch on a device; of the draws, only the noise is moved."""
        return self._moved(lambda tensor: tensor.to(device, non_blocking=True))

    def __getitem__(self, which: slice) -> Batch:
        """The samples of a slice."""
        parts = self._each(lambda tensor: tensor[which])
        draws = self.draws
        if draws is not None:
            draws = Draws(**{f.name: getattr(draws, f.name)[which] for f in fields(draws)})
        return Batch(**parts, draws=draws)

    def _each(self, make: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, Any]:
        """Every tensor but those of the draws, changed by ``make``."""
        there = {name: getattr(self, name) for name in _TENSORS}
        return {name: make(value) for name, value in there.items() if value is not None}

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory, for asynchronous copies to a GPU (called by torch)."""
        return self._moved(torch.Tensor.pin_memory)

    def _moved(self, move: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
        parts = self._each(move)
        draws = self.draws
        if draws is not None:
            draws = replace(draws, noise=move(draws.noise))
        return Batch(**parts, draws=draws)

    @staticmethod
    def stack(samples: list[Batch]) -> Batch:
        """Concatenate batches; the result has draws, and clean views, if all of them do."""
        parts = {}
        for name in _TENSORS:
            values = [getattr(s, name) for s in samples]
            if all(value is not None for value in values):
                parts[name] = torch.cat(values)
        draws = [s.draws for s in samples if s.draws is not None]
        both = None
        if len(draws) == len(samples):
            both = Draws(
                **{f.name: torch.cat([getattr(d, f.name) for d in draws]) for f in fields(Draws)}
            )
        return Batch(**parts, draws=both)

    def views(self, single: bool = False) -> RegisteredViews:
        """The views, without the lateral one if ``single``."""
        return RegisteredViews(self.frontal, None if single else self.lateral, self.beam)

    def drawn(self) -> Draws:
        """The draws of a training batch."""
        if self.draws is None:
            raise ValueError("a training batch must have its random numbers (draws)")
        return self.draws

    def training_views(self) -> RegisteredViews:
        """The views of a training step; the lateral view is withheld where ``draws.single``."""
        single = self.drawn().single
        if bool(single.all()):
            return self.views(single=True)
        present = (~single).to(self.frontal.device)
        return RegisteredViews(
            self.frontal, self.lateral, self.beam, None if bool(present.all()) else present
        )


_TENSORS = tuple(field.name for field in fields(Batch) if field.name != "draws")


@dataclass
class ValidationCase:
    """A patient of the validation set.

    Attributes:
        name: the case's identifier.
        batch: a batch of one sample, without draws; of several appearances of it where the
            objective needs clean views.
        frame: the volume's thorax frame.
        real: roles ("frontal", "lateral") whose view is a real X-ray, not a DRR.
    """

    name: str
    batch: Batch
    frame: ThoraxFrame
    real: tuple[str, ...] = ()
