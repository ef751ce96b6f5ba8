"""Collate pairs into batches: the views are augmented and standardised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from axon_backend.imaging.standardise import standardise_view
from axon_backend.methods.batch import Batch
from axon_backend.training.data.augmentation import (
    RadiographAugmentation,
    augment_radiograph,
    augment_real,
)
from axon_backend.training.data.pairs import TrainingPair


def collate(
    pairs: list[TrainingPair],
    rng: np.random.Generator | None = None,
    appearance: RadiographAugmentation | None = None,
    *,
    gamma: int = 2,
    real: bool = False,
    clean: bool = False,
) -> Batch:
    """Stack pairs with volumes of side ``gamma h``. With ``rng``, their views are augmented, as
    X-rays if ``real`` (:func:`augment_real`), else as projections; with ``clean``, the batch holds
    them as they were before, too."""
    fine = torch.stack([torch.as_tensor(p.volume) for p in pairs])[:, None].float() / 127.5 - 1
    views = torch.stack([torch.as_tensor(p.views.astype(np.float32)) for p in pairs])
    before = standardise_views(views) if clean else None
    if rng is not None:
        look = appearance or RadiographAugmentation()
        views = _augmented(views, rng, look, augment_real if real else augment_radiograph)
    frontal, lateral = standardise_views(views).split(1, 1)
    return Batch(
        volume=F.avg_pool3d(fine, gamma),
        fine=fine,
        frontal=frontal,
        lateral=lateral,
        beam=torch.stack([torch.as_tensor(p.beam) for p in pairs]),
        clean=before,
    )


def standardise_views(views: torch.Tensor) -> torch.Tensor:
    """(B, 2, S, S) pixels of both views, each standardised."""
    return torch.cat([standardise_view(views[:, i : i + 1]) for i in (0, 1)], 1)


def validation_look(
    batch: Batch, number: int, appearance: RadiographAugmentation, size: int
) -> Batch:
    """A validation batch whose views, averaged down to ``size``, have a random appearance, always
    the same for a number; ``clean`` holds them as they were before."""
    rng, look = np.random.default_rng(number), replace(appearance, clean=0.0)
    clean = F.adaptive_avg_pool2d(torch.cat([batch.frontal, batch.lateral], 1), size)
    views = _augmented(clean, rng, look, augment_radiograph)
    frontal, lateral = standardise_views(views).split(1, 1)
    return replace(batch, frontal=frontal, lateral=lateral, clean=clean)


def _augmented(
    views: torch.Tensor,
    rng: np.random.Generator,
    look: RadiographAugmentation,
    augment: Callable[..., torch.Tensor],
) -> torch.Tensor:
    """(B, 2, S, S) views, each with an appearance of its own."""
    changed = [augment(view[None, None].clone(), rng, look) for view in views.flatten(0, 1)]
    return torch.cat(changed)[:, 0].reshape(views.shape)


def without_misregistration(appearance: RadiographAugmentation) -> RadiographAugmentation:
    """The same appearance without errors of registration."""
    return replace(appearance, p=replace(appearance.p, misregistration=0.0))


def blend(a: TrainingPair, b: TrainingPair, share: float) -> TrainingPair:
    """A chest between two chests: ``share`` of ``a`` and the rest of ``b``.

    Line integrals are linear in the attenuation, so the blend of the images is the image of the
    blend (up to clipping to the HU window and the small difference of the beams). Few patients
    give many pairs of patients.
    """

    def mix(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return share * x.astype(np.float32) + (1 - share) * y.astype(np.float32)

    return TrainingPair(
        volume=np.rint(mix(a.volume, b.volume)).astype(np.uint8),
        views=mix(a.views, b.views).astype(np.float16),
        beam=mix(a.beam, b.beam).astype(np.float32),
    )
