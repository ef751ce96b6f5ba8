"""Stage 1a: the lifting encoder learns to return the volume by itself.

The bridge starts from F(x); what F(x) does not hold, the sampler has to invent. So F has a loss
of its own: L2 plus a little L1 against the target (the end point is then close to the conditional
mean, the best start in the sense of PSNR).
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import nn

from axon_backend.evaluation.metrics import gradient_ratio, psnr, ssim3d_gauss11
from axon_backend.networks.encoder import LiftingEncoder
from axon_backend.networks.precision import autocast
from axon_backend.training.batch import Batch, Batches
from axon_backend.training.cases import Case
from axon_backend.training.loop import train

# Share of the steps with one view only. One set of weights serves both.
SINGLE_VIEW_SHARE = 0.4


def regression_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """L2 + 0.1 L1 on [-1, 1]."""
    return (output - target).square().mean() + 0.1 * (output - target).abs().mean()


def figures(prefix: str, output: torch.Tensor, target: torch.Tensor) -> dict[str, float]:
    """PSNR, SSIM and sharpness of (1, 1, h, h, h) volumes in [-1, 1]."""
    a, b = ((v[0, 0].float().clamp(-1, 1) + 1) / 2 for v in (output, target))
    return {
        f"{prefix}_psnr": psnr(a, b),
        f"{prefix}_ssim": ssim3d_gauss11(a, b),
        f"{prefix}_sharp": gradient_ratio(a, b),
    }


def mean_figures(rows: list[dict[str, float]]) -> dict[str, float]:
    """The mean over cases, key by key."""
    return {k: sum(r[k] for r in rows) / len(rows) for k in rows[0]}


@torch.no_grad()
def validate_encoder(encoder: LiftingEncoder, cases: list[Case]) -> dict[str, float]:
    """F(x) alone on whole patients, with two views (``v2``) and with one (``v1``)."""
    rows = []
    for case in cases:
        b = case.batch
        row: dict[str, float] = {}
        for name, lateral in (("v2", b.lateral), ("v1", None)):
            with autocast():
                out = encoder(b.frontal, lateral, b.beam)
            row |= figures(name, out, b.volume)
        rows.append(row)
    out = mean_figures(rows)
    return {"loss": -(out["v2_psnr"] + 0.5 * out["v1_psnr"]), **out}


def train_encoder(
    encoder: LiftingEncoder,
    batches: Batches,
    cases: list[Case],
    folder: Path,
    *,
    minutes: float,
    rng: torch.Generator,
    peak_rate: float = 1.5e-3,
) -> None:
    """Train F alone; see :func:`axon_backend.training.loop.train` for what is written."""

    def loss_of(network: nn.Module) -> torch.Tensor:
        batch: Batch = next(batches)
        single = torch.rand((), generator=rng) < SINGLE_VIEW_SHARE
        with autocast():
            out = network(batch.frontal, None if single else batch.lateral, batch.beam)
        return regression_loss(out, batch.volume)

    train(
        encoder,
        loss_of,
        lambda network: validate_encoder(cast(LiftingEncoder, network), cases),
        folder,
        minutes=minutes,
        peak_rate=peak_rate,
    )
