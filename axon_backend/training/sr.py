"""Stage "sr": SR-Net, on pairs of the same chest at h and 2h."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from axon_backend.methods.protocol import RegisteredViews
from axon_backend.training.batch import Batch
from axon_backend.training.cases import Case
from axon_backend.training.stage import (
    CROP,
    KIND,
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


class SRStage(Stage):
    """L2 and a little L1 on random crops.

    ``loss.synthesised`` of the inputs are outputs of the earlier stages (the paper's "w/ Syn"):
    one or two steps of the bridge, or stage 2, with errors put on. On a reconstruction the
    network must not sharpen what is in the wrong place.
    """

    @torch.no_grad()
    def _reconstructed(
        self, views: RegisteredViews, kind: int, generator: torch.Generator
    ) -> torch.Tensor:
        """One step of the bridge, two, or one and stage 2."""
        model = self.model
        steps = min(2 if kind == 1 else 1, 2 * model.config.sampling.coarse_steps)
        low = model.run_coarse(views, steps, generator, places=1)
        if kind == 2:
            low = model.run_fine(views, low, model.config.sampling.fine_steps, generator)
        return low

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
            # Given that it is below the share, the rest of the number is uniform again.
            low = self._reconstructed(views, int(3 * chance / share), generator)
            lows.append(blur_of_trust(low, [generator], [strengths[i]]))
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
