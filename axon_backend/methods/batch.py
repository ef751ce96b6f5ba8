"""What an objective is given: training batches with their random numbers, validation cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch

from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.methods.protocol import RegisteredViews


@dataclass
class Draws:
    """The random numbers of each sample, so that a training step is a function of its samples.

    Attributes:
        single: (B,) bool, the lateral view is withheld.
        t: (B,) float64 uniform in [0, 1), for the diffusion time.
        t_end: the same, decides whether the time is the last one.
        augmentation: the same, for the strength of conditioning augmentation.
        kind: the same, decides between kinds of input.
        crop: (B, 3) float64 uniform in [0, 1), for the place of a crop (z, y, x).
        noise: (B, 1, h, h, h) normal.
        seeds: (B,) int64, for a generator of each sample's own.
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
        """The generator of sample ``i``, fresh."""
        return torch.Generator().manual_seed(int(self.seeds[i]))

    def generators(self) -> list[torch.Generator]:
        """One for each sample."""
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
    """

    volume: torch.Tensor
    fine: torch.Tensor
    frontal: torch.Tensor
    lateral: torch.Tensor
    beam: torch.Tensor
    draws: Draws | None = None

    def __len__(self) -> int:
        return self.volume.shape[0]

    def to(self, device: torch.device | str) -> Batch:
        """The same on a device; the small random numbers stay on the CPU."""
        return self._moved(lambda tensor: tensor.to(device, non_blocking=True))

    def __getitem__(self, which: slice) -> Batch:
        """Some of the samples."""
        parts = {name: getattr(self, name)[which] for name in _TENSORS}
        draws = self.draws
        if draws is not None:
            draws = Draws(**{f.name: getattr(draws, f.name)[which] for f in fields(draws)})
        return Batch(**parts, draws=draws)

    def pin_memory(self) -> Batch:
        """In page-locked memory, from where a GPU copies without waiting (called by torch)."""
        return self._moved(torch.Tensor.pin_memory)

    def _moved(self, move: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
        parts = {name: move(getattr(self, name)) for name in _TENSORS}
        draws = self.draws
        if draws is not None:
            draws = replace(draws, noise=move(draws.noise))
        return Batch(**parts, draws=draws)

    @staticmethod
    def stack(samples: list[Batch]) -> Batch:
        """Batches of one, together; with draws where all have some."""
        parts = {name: torch.cat([getattr(s, name) for s in samples]) for name in _TENSORS}
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
            raise ValueError("a training batch brings its random numbers along")
        return self.draws

    def training_views(self) -> RegisteredViews:
        """The views of a training step, the lateral one withheld where drawn so."""
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
        name: its identifier.
        batch: of one, without draws.
        frame: of the volume.
        real: the roles whose view is a real X-ray, not a DRR.
    """

    name: str
    batch: Batch
    frame: ThoraxFrame
    real: tuple[str, ...] = ()
