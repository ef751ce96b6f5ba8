"""Stage 3: SR-Net, on pairs of the same chest at h and 2h."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from axon_backend.methods.axon import Axon
from axon_backend.training.batch import Batch
from axon_backend.training.cases import Case
from axon_backend.training.encoder import autocast, figures, mean_figures
from axon_backend.training.loop import train

CROP = 32  # side of the low-resolution crops; the network is local
BLURRED_SHARE = 0.5


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
    """Train ``model.sr`` with L1 on random crops.

    Half of the inputs are degraded (blur and noise), since the network will be fed with
    reconstructions, not with CTs. Validation is on the true low-resolution volumes of whole
    patients, beside trilinear enlargement.
    """

    def loss_of(network: nn.Module) -> torch.Tensor:
        batch = next(batches)
        low, n = batch.volume, batch.volume.shape[-1]
        z, y, x = (int(torch.randint(0, n - CROP + 1, (), generator=rng)) for _ in range(3))
        low = low[..., z : z + CROP, y : y + CROP, x : x + CROP]
        high = batch.fine[
            ..., 2 * z : 2 * (z + CROP), 2 * y : 2 * (y + CROP), 2 * x : 2 * (x + CROP)
        ]
        if torch.rand((), generator=rng) < BLURRED_SHARE:
            share = torch.rand((), generator=rng)
            smooth = F.avg_pool3d(F.pad(low, (1,) * 6, mode="replicate"), 3, 1)
            low = (1 - share) * low + share * smooth
            low = low + 0.05 * torch.rand((), generator=rng) * torch.randn(low.shape, generator=rng)
        with autocast():
            out = network(low)
        return (out - high).abs().mean()

    @torch.no_grad()
    def validate(network: nn.Module) -> dict[str, float]:
        rows = []
        for case in cases:
            low = case.batch.volume
            with autocast():
                out = network(low)
            smooth = F.interpolate(low, scale_factor=2, mode="trilinear", align_corners=False)
            rows.append(
                figures("sr", out, case.batch.fine) | figures("tri", smooth, case.batch.fine)
            )
        out = mean_figures(rows)
        return {"loss": -out["sr_psnr"], **out}

    train(model.sr, loss_of, validate, folder, minutes=minutes, peak_rate=peak_rate)
