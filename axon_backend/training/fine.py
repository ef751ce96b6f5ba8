"""Stage 2: the unconditional prior, then the ControlNet that steers it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import torch
from torch import nn

from axon_backend.methods.axon import Axon
from axon_backend.networks.precision import autocast
from axon_backend.networks.unet import ControlBranch
from axon_backend.training.batch import Batch
from axon_backend.training.cases import Case
from axon_backend.training.coarse import blur_of_trust, views_of
from axon_backend.training.encoder import SINGLE_VIEW_SHARE, figures, mean_figures
from axon_backend.training.loop import train

# The prior's times are T u^PRIOR_T_POWER: all are learned, but most steps go to the lower noise
# levels, where stage 2 adds its detail and where sampling from a noised coarse volume happens.
PRIOR_T_POWER = 2.0


def train_prior(
    model: Axon,
    batches: Iterator[Batch],
    cases: list[Case],
    folder: Path,
    *,
    minutes: float,
    rng: torch.Generator,
    peak_rate: float = 1.5e-3,
) -> None:
    """Train ``model.prior`` as an unconditional DDPM (Ho et al. 2020) on CT volumes (eq. 4 without
    its condition). Validation is the loss on whole patients at fixed times and noise."""
    diffusion = model.config.diffusion

    def loss_at(
        network: nn.Module, volume: torch.Tensor, t: torch.Tensor, noise: torch.Tensor
    ) -> torch.Tensor:
        with autocast():
            output = network(diffusion.diffuse(volume, t, noise), t)
        return (output - diffusion.target(volume, t, noise)).square().mean()

    def loss_of(network: nn.Module) -> torch.Tensor:
        volume = next(batches).volume
        u = torch.rand(len(volume), generator=rng)
        t = (diffusion.steps * u**PRIOR_T_POWER).long()
        return loss_at(network, volume, t, torch.randn(volume.shape, generator=rng))

    @torch.no_grad()
    def validate(network: nn.Module) -> dict[str, float]:
        fixed = torch.Generator().manual_seed(0)
        losses = []
        for case in cases:
            for t in range(50, diffusion.steps, 150):
                noise = torch.randn(case.batch.volume.shape, generator=fixed)
                losses.append(loss_at(network, case.batch.volume, torch.tensor([t]), noise).item())
        return {"loss": sum(losses) / len(losses)}

    train(model.prior, loss_of, validate, folder, minutes=minutes, peak_rate=peak_rate)


@torch.no_grad()
def validate_fine(model: Axon, cases: list[Case], coarse: dict[str, torch.Tensor]) -> dict:
    """Stage 2 beside stage 1 on whole patients; ``coarse`` holds X^ by case and views."""
    rows = []
    for case in cases:
        row: dict[str, float] = {}
        for name, single in (("v2", False), ("v1", True)):
            x = coarse[f"{case.name}_{name}"]
            steps = model.config.sampling.fine_steps
            fine = model.run_fine(
                views_of(case.batch, single), x, steps, torch.Generator().manual_seed(0)
            )
            row |= figures(f"{name}_coarse", x, case.batch.volume)
            row |= figures(f"{name}_fine", fine, case.batch.volume)
        rows.append(row)
    out = mean_figures(rows)
    return {"loss": -(out["v2_fine_psnr"] + 0.5 * out["v1_fine_psnr"]), **out}


def train_controlnet(
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
    """Train ``model.controlnet`` on X^ with the prior, the encoder and the bridge frozen.

    X^ is the bridge's one-step estimate with :func:`blur_of_trust`; L2 on the prior's target.
    Times are drawn over the range that sampling visits.
    """
    for part in (model.encoder, model.coarse, model.prior):
        part.requires_grad_(False).eval()
    diffusion = model.config.diffusion
    last = max(1, round(model.config.sampling.fine_start * (diffusion.steps - 1)))
    coarse = {
        f"{case.name}_{name}": model.reconstruct(views_of(case.batch, single), stages=("coarse",))
        .volumes["coarse"]
        .clone()
        for case in cases
        for name, single in (("v2", False), ("v1", True))
    }

    def loss_of(network: nn.Module) -> torch.Tensor:
        batch = next(batches)
        views = views_of(batch, bool(torch.rand((), generator=rng) < SINGLE_VIEW_SHARE))
        with torch.no_grad():
            x = model.run_coarse(views, 1, rng)
            x = blur_of_trust(x, rng, doubt * float(torch.rand((), generator=rng)))
            condition = model.condition(views, x.clamp(-1, 1))
        t = torch.randint(0, last + 1, (len(x),), generator=rng)
        noise = torch.randn(x.shape, generator=rng)
        y = diffusion.diffuse(batch.volume, t, noise)
        with autocast():
            output = model.prior(y, t, network(y, t, condition))
        return (output - diffusion.target(batch.volume, t, noise)).square().mean()

    def validate(network: nn.Module) -> dict[str, float]:
        kept, model.controlnet = model.controlnet, cast(ControlBranch, network)
        try:
            return validate_fine(model, cases, coarse)
        finally:
            model.controlnet = kept

    train(model.controlnet, loss_of, validate, folder, minutes=minutes, peak_rate=peak_rate)
