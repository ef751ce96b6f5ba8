"""Training "coarse": the Brownian bridge from F(x) to the CT, with the encoder or after it."""

from __future__ import annotations

from typing import Any

import torch

from axon_backend.methods.axon.losses import (
    augmentation_strengths,
    bone_contrast_loss,
    bridge_times,
    corrupt_condition,
    edge_loss,
    voxel_weights,
)
from axon_backend.methods.axon.model import AxonModel
from axon_backend.methods.axon.stage import condition
from axon_backend.methods.axon.train_encoder import encode
from axon_backend.methods.batch import Batch, ValidationCase
from axon_backend.methods.objective import Measurement, Objective, regression_loss


class CoarseObjective(Objective):
    """L2 on the bridge's target (eq. 3).

    In joint training (``loss.joint``), gradients reach the encoder through the target, the bridge's
    state and the condition, as in the paper, and through F(x)'s own loss with weight
    ``loss.end_point``.
    """

    model: AxonModel

    @classmethod
    def trains(cls, config: Any, loss: Any) -> tuple[str, ...]:
        return ("encoder", "coarse") if loss.joint else ("coarse",)

    @classmethod
    def needs(cls, config: Any, loss: Any) -> tuple[str, ...]:
        return () if loss.joint else ("encoder",)

    def forward(self, batch: Batch) -> torch.Tensor:
        settings, draws = self.loss, batch.drawn()
        coarse, bridge = self.model.coarse_diff, self.model.config.bridge
        extra = batch.volume.new_zeros(())
        weights = voxel_weights(batch.volume, self.window, settings.bone)
        views = batch.training_views()
        if settings.joint:
            x_T = encode(coarse.encoder, batch)
            if settings.end_point:
                extra = extra + settings.end_point * regression_loss(x_T, batch.volume, weights)
        else:
            with torch.no_grad():
                x_T = coarse.x_T(views)
        strengths = augmentation_strengths(draws, settings.conditioning_augmentation)
        x_T = corrupt_condition(x_T, draws.generators(), strengths)
        seen = condition(self.model.config, views, x_T)
        t = bridge_times(draws, bridge, settings).to(x_T.device)
        x_t = bridge.q_sample(batch.volume, x_T, t, draws.noise)
        output = coarse.unet(torch.cat([x_t, seen], 1), t)
        error = output - bridge.target(batch.volume, x_T, t, draws.noise)
        loss = (weights * error.square()).mean()
        if settings.edge or settings.bone_contrast:
            x0_hat = bridge.predict_x0(output, x_t, x_T, t)
            if settings.edge:
                extra = extra + settings.edge * edge_loss(x0_hat, batch.volume)
            if settings.bone_contrast:
                lacking = bone_contrast_loss(x0_hat, batch.volume, self.window)
                extra = extra + settings.bone_contrast * lacking
        return loss + extra

    def measure(self, case: ValidationCase) -> Measurement:
        """Measure F(x) and samples with one, the configured number of, and ten steps, each with two
        views and one."""
        coarse = self.model.coarse_diff
        chosen = self.model.config.sampling.coarse_steps
        row: dict[str, float] = {}
        shown = {}
        for name, views in self.by_views(case).items():
            row |= self.compare(f"{name}_F", coarse.x_T(views), case.batch.volume)
            for count in sorted({1, chosen, 10}):
                shifts = None if count == chosen else 1
                generator = torch.Generator().manual_seed(0)
                sample = coarse.run(views, count, generator, tta_shifts=shifts)
                row |= self.compare(f"{name}_{count}", sample, case.batch.volume)
                if count == chosen:
                    shown[name] = sample[0, 0]
        return Measurement(row, shown[self.shown_views])

    def score(self, metrics: dict[str, float]) -> float:
        chosen = self.model.config.sampling.coarse_steps
        return -self.weigh(metrics[f"v2_{chosen}_psnr"], metrics[f"v1_{chosen}_psnr"])
