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
from axon_backend.training.coarse import views_of
from axon_backend.training.encoder import (
    SINGLE_VIEW_SHARE,
    figures,
    mean_figures,
    regression_loss,
)
from axon_backend.training.loop import train

CROP = 32  # side of the low-resolution crops; the network is local
SYNTHESISED_SHARE = 0.5


def train_sr(
    model: Axon,
    batches: Iterator[Batch],
    cases: list[Case],
    folder: Path,
    *,
    minutes: float,
    rng: torch.Generator,
    peak_rate: float = 1.5e-3,
) -> None:
    """Train ``model.sr`` with L2 (and a little L1) on random crops.

    Half of the inputs are outputs of the earlier stages (the paper's "w/ Syn"), one or two steps
    of the bridge: on a reconstruction the network must not sharpen what is in the wrong place.
    Validation is on reconstructions of whole patients and on their true volumes, each beside
    trilinear enlargement.
    """
    for part in (model.encoder, model.coarse):
        part.requires_grad_(False).eval()

    def chance() -> float:
        return float(torch.rand((), generator=rng))

    def loss_of(network: nn.Module) -> torch.Tensor:
        batch = next(batches)
        low, n = batch.volume, batch.volume.shape[-1]
        if chance() < SYNTHESISED_SHARE:
            with torch.no_grad():
                views = views_of(batch, chance() < SINGLE_VIEW_SHARE)
                low = model.run_coarse(views, 1 + int(chance() < 0.5), rng)
        c = min(CROP, n)
        z, y, x = (int(torch.randint(0, n - c + 1, (), generator=rng)) for _ in range(3))
        low = low[..., z : z + c, y : y + c, x : x + c]
        high = batch.fine[..., 2 * z : 2 * (z + c), 2 * y : 2 * (y + c), 2 * x : 2 * (x + c)]
        with autocast():
            out = network(low)
        return regression_loss(out, high)

    coarse = [
        model.run_coarse(views_of(case.batch, False), 1, torch.Generator().manual_seed(0)).detach()
        for case in cases
    ]

    @torch.no_grad()
    def validate(network: nn.Module) -> dict[str, float]:
        rows = []
        for case, made in zip(cases, coarse, strict=True):
            row: dict[str, float] = {}
            for name, low in (("true", case.batch.volume), ("made", made)):
                with autocast():
                    out = network(low)
                smooth = F.interpolate(low, scale_factor=2, mode="trilinear", align_corners=False)
                row |= figures(f"{name}_sr", out, case.batch.fine)
                row |= figures(f"{name}_tri", smooth, case.batch.fine)
            rows.append(row)
        out = mean_figures(rows)
        return {"loss": -(out["true_sr_psnr"] + out["made_sr_psnr"]), **out}

    train(model.sr, loss_of, validate, folder, minutes=minutes, peak_rate=peak_rate)
