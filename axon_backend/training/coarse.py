"""Stage 1b: the bridge's U-Net, from the trained end point F(x) to the CT."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from axon_backend.methods.axon import Axon
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.networks.precision import autocast
from axon_backend.networks.unet import DiffusionUNet
from axon_backend.training.batch import Batch
from axon_backend.training.cases import Case
from axon_backend.training.encoder import SINGLE_VIEW_SHARE, figures, mean_figures
from axon_backend.training.loop import train

# Times are drawn as (T - 1) u^(1 / T_POWER) with u uniform, and exactly T - 1 in this share of the
# draws: near t = 0 the answer stands in x_t and there is nothing to learn with few patients.
T_POWER = 2.0
AT_THE_END = 0.5


def views_of(batch: Batch, single: bool) -> RegisteredViews:
    """The batch's views, without the lateral one if ``single``."""
    return RegisteredViews(batch.frontal, None if single else batch.lateral, batch.beam)


def blur_of_trust(volume: torch.Tensor, rng: torch.Generator, strength: float) -> torch.Tensor:
    """A volume with smooth random shifts and grey-level errors.

    On training patients an earlier stage is better than it will ever be on others. A later stage
    trained on its outputs as they are would trust them too much; this puts an error of the kind
    seen on unseen patients back. ``strength`` 1: shifts of about one 64^3 voxel, grey values off
    by about 0.06 of [-1, 1].
    """
    b, _, n = volume.shape[:3]
    # Drawn on coarse grids of two sizes and enlarged: errors of organs, and of their borders.
    bend = torch.zeros(b, 3, n, n, n)
    grey = torch.zeros(b, 1, n, n, n)
    for cells, shift in ((4, 0.02), (10, 0.01)):
        field = torch.randn(b, 4, cells, cells, cells, generator=rng)
        field = F.interpolate(field, size=(n,) * 3, mode="trilinear", align_corners=True)
        bend += shift * strength * field[:, :3]
        grey += 0.04 * strength * field[:, 3:]
    base = F.affine_grid(torch.eye(3, 4).expand(b, 3, 4), [b, 1, n, n, n], align_corners=False)
    moved = F.grid_sample(
        volume.float(),
        base + bend.permute(0, 2, 3, 4, 1),
        align_corners=False,
        padding_mode="border",
    )
    return moved + grey


def draw_times(count: int, steps: int, rng: torch.Generator) -> torch.Tensor:
    """(count,) training times, see :data:`T_POWER`."""
    u = torch.rand(count, generator=rng)
    t = ((steps - 1) * u ** (1.0 / T_POWER)).round().long()
    end = torch.rand(count, generator=rng) < AT_THE_END
    return torch.where(end, torch.full_like(t, steps - 1), t)


@torch.no_grad()
def validate_coarse(model: Axon, cases: list[Case]) -> dict[str, float]:
    """The end point alone, one step, the configured steps and ten, with two views and with one.

    ``loss``, which chooses the best checkpoint, judges the configured number of steps.
    """
    chosen = model.config.sampling.coarse_steps
    rows = []
    for case in cases:
        row: dict[str, float] = {}
        for name, single in (("v2", False), ("v1", True)):
            views = views_of(case.batch, single)
            row |= figures(f"{name}_F", model.end_point(views), case.batch.volume)
            for count in sorted({1, chosen, 10}):
                sample = model.run_coarse(views, count, torch.Generator().manual_seed(0))
                row |= figures(f"{name}_{count}", sample, case.batch.volume)
        rows.append(row)
    out = mean_figures(rows)
    return {"loss": -(out[f"v2_{chosen}_psnr"] + 0.5 * out[f"v1_{chosen}_psnr"]), **out}


def train_coarse(
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
    """Train ``model.coarse`` with the encoder frozen.

    L2 on the bridge's target (eq. 3). ``doubt`` is the largest strength of
    :func:`blur_of_trust` on F(x).
    """
    model.encoder.requires_grad_(False).eval()
    bridge = model.config.bridge

    def loss_of(network: nn.Module) -> torch.Tensor:
        batch = next(batches)
        views = views_of(batch, bool(torch.rand((), generator=rng) < SINGLE_VIEW_SHARE))
        with torch.no_grad():
            end = model.end_point(views)
            end = blur_of_trust(end, rng, doubt * float(torch.rand((), generator=rng)))
            condition = model.condition(views, end)
        t = draw_times(len(end), bridge.steps, rng)
        noise = torch.randn(end.shape, generator=rng)
        x = bridge.diffuse(batch.volume, end, t, noise)
        with autocast():
            output = network(torch.cat([x, condition], 1), t)
        return (output - bridge.target(batch.volume, end, t, noise)).square().mean()

    def validate(network: nn.Module) -> dict[str, float]:
        kept, model.coarse = model.coarse, cast(DiffusionUNet, network)
        try:
            return validate_coarse(model, cases)
        finally:
            model.coarse = kept

    train(model.coarse, loss_of, validate, folder, minutes=minutes, peak_rate=peak_rate)
