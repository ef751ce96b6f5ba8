"""Training "sr": SR-Net, on pairs of the same chest with sides h and g h."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from axon_backend.errors import AxonInputError
from axon_backend.methods.axon.losses import augmentation_strengths, corrupt_condition
from axon_backend.methods.axon.model import AxonModel
from axon_backend.methods.axon.train_fine import ControlNetObjective
from axon_backend.methods.batch import Batch, ValidationCase
from axon_backend.methods.objective import Measurement, Objective, regression_loss
from axon_backend.methods.protocol import RegisteredViews

CROP = 32
"""Largest side of the low-resolution training crops; SR-Net is local."""


class SRObjective(Objective):
    """L2 and a small L1 loss on random crops of at most half the side.

    A share ``loss.synthesised`` of the inputs are outputs of stage 1 or stage 2 (the paper's
    "w/ Syn") with conditioning augmentation: in a reconstruction, the network must not sharpen
    misplaced structures. If samples repeat, their reconstructions are cached.
    """

    NEEDS_FINE = True
    CAN_REPEAT = True
    model: AxonModel

    def __init__(
        self, model: AxonModel, loss: Any, *, single_view: float, repeats: bool = False
    ) -> None:
        super().__init__(model, loss, single_view=single_view, repeats=repeats)
        self._kept: dict[int, torch.Tensor] = {}

    @classmethod
    def trains(cls, config: Any, loss: Any) -> tuple[str, ...]:
        return ("sr",)

    @classmethod
    def needs(cls, config: Any, loss: Any) -> tuple[str, ...]:
        return *ControlNetObjective.needs(config, loss), "controlnet"

    @classmethod
    def check(cls, config: Any, loss: Any) -> None:
        if config.sr.gamma < 2:
            raise AxonInputError("model.sr.gamma is 1: there is no super-resolution to train.")

    @torch.no_grad()
    def _reconstructed(
        self, views: RegisteredViews, fine: bool, generator: torch.Generator
    ) -> torch.Tensor:
        """The volume of stage 1, or if ``fine`` of stage 2, as at inference."""
        model, sampling = self.model, self.model.config.sampling
        seed = generator.initial_seed()  # identifies the sample
        if seed not in self._kept:
            low = model.coarse_diff.run(views, sampling.coarse_steps, generator)
            if fine:
                low = model.fine_diff.run(views, low, sampling.fine_steps, generator)
            if not self.repeats:
                return low
            self._kept[seed] = low.half().cpu()
        return self._kept[seed].to(model.device).float()

    def inputs(self, batch: Batch) -> torch.Tensor:
        """The inputs of SR-Net: true volumes of side h, or reconstructions."""
        share, draws = self.loss.synthesised, batch.drawn()
        lows = []
        strengths = augmentation_strengths(draws, self.loss.conditioning_augmentation)
        for i, views in enumerate(batch.training_views().split()):
            u = float(draws.kind[i])
            if u >= share:
                lows.append(batch.volume[i : i + 1])
                continue
            low = self._reconstructed(views, u < 0.5 * share, draws.generator(i))
            # New errors each time the sample repeats.
            errors = torch.Generator().manual_seed(int(2**53 * draws.augmentation[i]))
            lows.append(corrupt_condition(low, [errors], [strengths[i]]))
        return torch.cat(lows)

    def forward(self, batch: Batch) -> torch.Tensor:
        low, draws = self.inputs(batch), batch.drawn()
        n, g = low.shape[-1], self.model.config.sr.gamma
        c = min(CROP, n // 2)
        lows, highs = [], []
        for i in range(len(batch)):
            z, y, x = (int((n - c + 1) * u) for u in draws.crop[i])
            lows.append(low[i, :, z : z + c, y : y + c, x : x + c])
            z, y, x, d = z * g, y * g, x * g, c * g
            highs.append(batch.fine[i, :, z : z + d, y : y + d, x : x + d])
        output = self.model.super_resolution.network(torch.stack(lows))
        return regression_loss(output, torch.stack(highs))

    def measure(self, case: ValidationCase) -> Measurement:
        """Measure on the true volume and on reconstructions, with trilinear interpolation for
        comparison."""
        model, sampling = self.model, self.model.config.sampling
        inputs = {"true": case.batch.volume}
        if self.loss.synthesised:
            views = case.batch.views(self.single_view >= 1)
            generator = torch.Generator().manual_seed(0)
            inputs["coarse"] = model.coarse_diff.run(views, sampling.coarse_steps, generator)
            generator = torch.Generator().manual_seed(0)
            inputs["fine"] = model.fine_diff.run(
                views, inputs["coarse"], sampling.fine_steps, generator
            )
        row: dict[str, float] = {}
        out = case.batch.fine
        for name, low in inputs.items():
            out = model.super_resolution.run(low)
            smooth = F.interpolate(low, size=out.shape[2:], mode="trilinear", align_corners=False)
            row |= self.compare(f"{name}_sr", out, case.batch.fine)
            row |= self.compare(f"{name}_tri", smooth, case.batch.fine)
        return Measurement(row, out[0, 0])

    def score(self, metrics: dict[str, float]) -> float:
        if not self.loss.synthesised:
            return -metrics["true_sr_psnr"]
        # The gains are tenths of a decibel on reconstructions, and whole decibels on true volumes.
        return -(0.1 * metrics["true_sr_psnr"] + metrics["fine_sr_psnr"])
