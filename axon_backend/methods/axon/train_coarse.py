"""Stage "coarse": the Brownian bridge from F(x) to the CT, with the encoder or after it."""

from __future__ import annotations

import torch

from axon_backend.methods.axon.train_encoder import encode, weigh
from axon_backend.methods.objective import (
    Measured,
    Stage,
    blur_of_trust,
    by_sample,
    doubts,
    draws_of,
    edge_loss,
    figures,
    regression_loss,
    views_of,
    voxel_weights,
)
from axon_backend.training.data.batch import END, TIME, Batch, Draws
from axon_backend.training.data.cases import Case


def draw_times(draws: Draws, steps: int, power: float, at_the_end: float) -> torch.Tensor:
    """(B,) training times: ``(T - 1) u^(1 / power)``, and exactly T - 1 in a share of draws."""
    t = ((steps - 1) * draws.chance[:, TIME] ** (1.0 / power)).round().long()
    return torch.where(draws.chance[:, END] < at_the_end, torch.full_like(t, steps - 1), t)


class CoarseStage(Stage):
    """L2 on the bridge's target (eq. 3).

    Jointly (``loss.joint``), gradients reach the encoder through the target, the bridge's state
    and the condition, as in the paper, and through F(x)'s own loss, weighed ``loss.end_point``.
    """

    def forward(self, batch: Batch) -> torch.Tensor:
        model, settings, draws = self.model, self.loss, draws_of(batch)
        bridge = model.config.bridge
        extra = batch.volume.new_zeros(())
        weights = voxel_weights(batch.volume, model.config.window, settings.bone)
        if settings.joint:
            end = encode(model.encoder, batch)
            if settings.end_point:
                extra = extra + settings.end_point * regression_loss(end, batch.volume, weights)
        else:
            with torch.no_grad():
                end = torch.cat([model.end_point(views) for views, _ in by_sample(batch)])
        generators = [draws.generator(i) for i in range(len(batch))]
        end = blur_of_trust(end, generators, doubts(batch, settings.doubt))
        condition = torch.cat(
            [
                model.condition(views, end[i : i + 1])
                for i, (views, _) in enumerate(by_sample(batch))
            ]
        )
        t = draw_times(draws, bridge.steps, settings.t_power, settings.at_the_end)
        t = t.to(end.device)
        x = bridge.diffuse(batch.volume, end, t, draws.noise)
        output = model.coarse(torch.cat([x, condition], 1), t)
        error = output - bridge.target(batch.volume, end, t, draws.noise)
        loss = (weights * error.square()).mean()
        if settings.edge:
            estimate = bridge.estimate(output, x, end, t)
            extra = extra + settings.edge * edge_loss(estimate, batch.volume)
        return loss + extra

    def measure(self, case: Case) -> Measured:
        """The end point alone, one step, the configured steps and ten, with two views and one."""
        chosen = self.model.config.sampling.coarse_steps
        row: dict[str, float] = {}
        shown = {}
        for name, single in (("v2", False), ("v1", True)):
            views = views_of(case.batch, single)
            window = self.config.model.window
            row |= figures(f"{name}_F", self.model.end_point(views), case.batch.volume, window)
            for count in sorted({1, chosen, 10}):
                places = None if count == chosen else 1
                drawn = torch.Generator().manual_seed(0)
                sample = self.model.run_coarse(views, count, drawn, places=places)
                row |= figures(f"{name}_{count}", sample, case.batch.volume, window)
                if count == chosen:
                    shown[single] = sample[0, 0]
        return Measured(row, shown[self.loss.single_view >= 1])

    def score(self, figures: dict[str, float]) -> float:
        chosen = self.model.config.sampling.coarse_steps
        two, one = figures[f"v2_{chosen}_psnr"], figures[f"v1_{chosen}_psnr"]
        return -weigh(two, one, self.loss.single_view)
