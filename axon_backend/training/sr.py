"""Stage 3: SR-Net, on pairs of the same chest at h and 2h."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from axon_backend.methods.axon import Axon
from axon_backend.networks.precision import autocast
from axon_backend.training.batch import Batch
from axon_backend.training.cases import Case
from axon_backend.training.coarse import blur_of_trust, views_of
from axon_backend.training.encoder import (
    SINGLE_VIEW_SHARE,
    figures,
    mean_figures,
    regression_loss,
)
from axon_backend.training.loop import train

CROP = 32  # side of the low-resolution crops; the network is local
SYNTHESISED_SHARE = 0.75


@torch.no_grad()
def synthesised(model: Axon, batch: Batch, rng: torch.Generator) -> torch.Tensor:
    """A reconstruction of the batch: one step of the bridge, two, or one and stage 2."""
    views = views_of(batch, bool(torch.rand((), generator=rng) < SINGLE_VIEW_SHARE))
    kind = int(torch.randint(0, 3, (), generator=rng))
    low = model.run_coarse(views, 2 if kind == 1 else 1, rng)
    if kind == 2:
        low = model.run_fine(views, low, model.config.sampling.fine_steps, rng)
    return low


def train_sr(
    model: Axon,
    batches: Iterator[Batch],
    cases: list[Case],
    folder: Path,
    *,
    minutes: float,
    rng: torch.Generator,
    peak_rate: float = 1.5e-3,
    doubt: float = 0.3,
) -> None:
    """Train ``model.sr`` with L2 (and a little L1) on random crops.

    :data:`SYNTHESISED_SHARE` of the inputs are outputs of the earlier stages (the paper's "w/
    Syn"): one or two steps of the bridge or stage 2, with :func:`blur_of_trust` of strength up to
    ``doubt``. On a reconstruction the network must not sharpen what is in the wrong place.
    Validation is on reconstructions of whole patients (stages 1 and 2) and on their true volumes,
    each beside trilinear enlargement.
    """
    for part in (model.encoder, model.coarse, model.prior, model.controlnet):
        part.requires_grad_(False).eval()

    def chance() -> float:
        return float(torch.rand((), generator=rng))

    def loss_of(network: nn.Module) -> torch.Tensor:
        batch = next(batches)
        low, n = batch.volume, batch.volume.shape[-1]
        if chance() < SYNTHESISED_SHARE:
            with torch.no_grad():
                low = synthesised(model, batch, rng)
                low = blur_of_trust(low, rng, doubt * chance())
        c = min(CROP, n)
        z, y, x = (int(torch.randint(0, n - c + 1, (), generator=rng)) for _ in range(3))
        low = low[..., z : z + c, y : y + c, x : x + c]
        high = batch.fine[..., 2 * z : 2 * (z + c), 2 * y : 2 * (y + c), 2 * x : 2 * (x + c)]
        with autocast():
            out = network(low)
        return regression_loss(out, high)

    stages = ("coarse", "fine")
    made = [model.reconstruct(views_of(case.batch, False), stages=stages).volumes for case in cases]

    @torch.no_grad()
    def validate(network: nn.Module) -> dict[str, float]:
        rows = []
        for case, volumes in zip(cases, made, strict=True):
            row: dict[str, float] = {}
            for name, low in (("true", case.batch.volume), *volumes.items()):
                with autocast():
                    out = network(low)
                smooth = F.interpolate(low, scale_factor=2, mode="trilinear", align_corners=False)
                row |= figures(f"{name}_sr", out, case.batch.fine)
                row |= figures(f"{name}_tri", smooth, case.batch.fine)
            rows.append(row)
        out = mean_figures(rows)
        # On reconstructions gains are tenths of a decibel, on true volumes whole ones.
        return {"loss": -(0.1 * out["true_sr_psnr"] + out["fine_sr_psnr"]), **out}

    train(model.sr, loss_of, validate, folder, minutes=minutes, peak_rate=peak_rate)
