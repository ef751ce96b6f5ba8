"""Batches: pairs with a clinical look, and the random numbers of their training step."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F

from axon_backend.imaging.standardise import standardise_view
from axon_backend.training.data.augmentation import AppearanceAugmentation, alter
from axon_backend.training.data.pairs import TrainingPair

# Uniform numbers that a sample brings along for its step, and which of them decides what; a crop
# takes three.
CHANCES = 8
TIME, END, DOUBT, KIND, CROP = 0, 1, 2, 3, 4


@dataclass
class Draws:
    """The random numbers of each sample, so that a step is a function of its samples.

    Attributes:
        single: (B,) bool, whether the lateral view is withheld.
        chance: (B, CHANCES) float64 uniform in [0, 1).
        noise: (B, 1, h, h, h) normal.
        seeds: (B,) int64, for a generator of each sample's own.
    """

    single: torch.Tensor
    chance: torch.Tensor
    noise: torch.Tensor
    seeds: torch.Tensor

    def generator(self, i: int) -> torch.Generator:
        """The generator of sample ``i``, fresh."""
        return torch.Generator().manual_seed(int(self.seeds[i]))


@dataclass
class Batch:
    """``volume`` (B, 1, h, h, h) and ``fine`` (B, 1, g h, g h, g h) in [-1, 1]; ``frontal`` and
    ``lateral`` (B, 1, s, s) standardised; ``beam`` (B, 2); ``draws`` in training."""

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
        moved = {
            f.name: getattr(self, f.name).to(device, non_blocking=True)
            for f in fields(self)
            if f.name != "draws"
        }
        draws = self.draws
        if draws is not None:
            noise = draws.noise.to(device, non_blocking=True)
            draws = Draws(draws.single, draws.chance, noise, draws.seeds)
        return Batch(**moved, draws=draws)

    def __getitem__(self, which: slice) -> Batch:
        """Some of the samples."""
        parts = {f.name: getattr(self, f.name)[which] for f in fields(self) if f.name != "draws"}
        draws = self.draws
        if draws is not None:
            draws = Draws(*(getattr(draws, f.name)[which] for f in fields(draws)))
        return Batch(**parts, draws=draws)

    def pin_memory(self) -> Batch:
        """In page-locked memory, from where a GPU copies without waiting (called by torch)."""
        parts = {f.name: getattr(self, f.name).pin_memory() for f in fields(self)[:5]}
        draws = self.draws
        if draws is not None:
            draws = Draws(draws.single, draws.chance, draws.noise.pin_memory(), draws.seeds)
        return Batch(**parts, draws=draws)


def collate(
    pairs: list[TrainingPair],
    rng: np.random.Generator | None = None,
    appearance: AppearanceAugmentation | None = None,
    *,
    gamma: int = 2,
) -> Batch:
    """Stack pairs of volumes with side ``gamma h``; with ``rng`` their views get a random clinical
    look."""
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
        volume=F.avg_pool3d(fine, gamma),
        fine=fine,
        frontal=standardise_view(views[:, :1]),
        lateral=standardise_view(views[:, 1:]),
        beam=torch.stack([torch.as_tensor(p.beam) for p in pairs]),
    )


def stack(samples: list[Batch]) -> Batch:
    """Batches of one, together."""
    parts = {f.name: torch.cat([getattr(s, f.name) for s in samples]) for f in fields(Batch)[:5]}
    draws = [s.draws for s in samples if s.draws is not None]
    both = None
    if len(draws) == len(samples):
        both = Draws(*(torch.cat([getattr(d, f.name) for d in draws]) for f in fields(Draws)))
    return Batch(draws=both, **parts)


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
