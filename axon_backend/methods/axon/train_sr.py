"""Stage "sr": SR-Net, on pairs of the same chest at h and 2h."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from axon_backend.methods.axon.model import Axon
from axon_backend.methods.objective import (
    Measured,
    Stage,
    blur_of_trust,
    by_sample,
    doubts,
    draws_of,
    figures,
    regression_loss,
    views_of,
)
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.training.config import TrainConfig
from axon_backend.training.data.batch import CROP, DOUBT, KIND, Batch
from axon_backend.training.data.cases import Case


class SRStage(Stage):
    """L2 and a little L1 on random crops.

    ``loss.synthesised`` of the inputs are outputs of stage 1 or stage 2 (the paper's "w/ Syn") with
    errors put on. On a reconstruction the network must not sharpen what is in the wrong place.
    Where samples come again, their reconstructions are kept.
    """

    def __init__(self, model: Axon, config: TrainConfig) -> None:
        super().__init__(model, config)
        self._kept: dict[int, torch.Tensor] = {}

    @torch.no_grad()
    def _reconstructed(
        self, views: RegisteredViews, fine: bool, generator: torch.Generator
    ) -> torch.Tensor:
        """Stage 1's volume, or stage 2's, as a user would get it."""
        model, sampling = self.model, self.model.config.sampling
        seed = generator.initial_seed()  # says which sample it is
        if seed not in self._kept:
            low = model.run_coarse(views, sampling.coarse_steps, generator)
            if fine:
                low = model.run_fine(views, low, sampling.fine_steps, generator)
            if not self.config.data.repeat_after:
                return low
            self._kept[seed] = low.half().cpu()
        return self._kept[seed].to(model.device).float()

    def inputs(self, batch: Batch) -> torch.Tensor:
        """What SR-Net is given: true volumes at h, or reconstructions."""
        share, draws = self.loss.synthesised, draws_of(batch)
        lows = []
        strengths = doubts(batch, self.loss.doubt)
        for i, (views, generator) in enumerate(by_sample(batch)):
            chance = float(draws.chance[i, KIND])
            if chance >= share:
                lows.append(batch.volume[i : i + 1])
                continue
            low = self._reconstructed(views, chance < 0.5 * share, generator)
            # Errors of their own each time that the sample comes.
            errors = torch.Generator().manual_seed(int(2**53 * draws.chance[i, DOUBT]))
            lows.append(blur_of_trust(low, [errors], [strengths[i]]))
        return torch.cat(lows)

    def forward(self, batch: Batch) -> torch.Tensor:
        low, draws = self.inputs(batch), draws_of(batch)
        n, g = low.shape[-1], self.config.model.sr.gamma
        c = min(self.loss.crop, n)
        lows, highs = [], []
        for i in range(len(batch)):
            z, y, x = (int((n - c + 1) * v) for v in draws.chance[i, CROP : CROP + 3])
            lows.append(low[i, :, z : z + c, y : y + c, x : x + c])
            z, y, x, d = z * g, y * g, x * g, c * g
            highs.append(batch.fine[i, :, z : z + d, y : y + d, x : x + d])
        return regression_loss(self.model.sr(torch.stack(lows)), torch.stack(highs))

    def measure(self, case: Case) -> Measured:
        """On the true volume and on reconstructions, each beside trilinear enlargement."""
        model, window, sampling = self.model, self.config.model.window, self.config.model.sampling
        given = {"true": case.batch.volume}
        if self.loss.synthesised:
            views = views_of(case.batch, self.loss.single_view >= 1)
            coarse = model.run_coarse(
                views, sampling.coarse_steps, torch.Generator().manual_seed(0)
            )
            given["coarse"] = coarse
            given["fine"] = model.run_fine(
                views, coarse, sampling.fine_steps, torch.Generator().manual_seed(0)
            )
        row: dict[str, float] = {}
        out = case.batch.fine
        for name, low in given.items():
            out = model.run_sr(low)
            smooth = F.interpolate(low, size=out.shape[2:], mode="trilinear", align_corners=False)
            row |= figures(f"{name}_sr", out, case.batch.fine, window)
            row |= figures(f"{name}_tri", smooth, case.batch.fine, window)
        return Measured(row, out[0, 0])

    def score(self, figures: dict[str, float]) -> float:
        if not self.loss.synthesised:
            return -figures["true_sr_psnr"]
        # On reconstructions gains are tenths of a decibel, on true volumes whole ones.
        return -(0.1 * figures["true_sr_psnr"] + figures["fine_sr_psnr"])
