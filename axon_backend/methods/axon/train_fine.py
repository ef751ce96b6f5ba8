"""Trainings "prior" and "controlnet": the unconditional prior, then the branch that steers it.

With ``model.fine_diff=bridge`` there is no prior, and "controlnet" trains the bridge.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from axon_backend.diffusion.gaussian import ddim
from axon_backend.errors import AxonInputError
from axon_backend.methods.axon.losses import augmentation_strengths, corrupt_condition
from axon_backend.methods.axon.model import AxonModel
from axon_backend.methods.axon.stage import condition
from axon_backend.methods.batch import Batch, ValidationCase
from axon_backend.methods.objective import Measurement, Objective

# Denoising steps of the prior's own sample, which is only shown.
PRIOR_SAMPLE_STEPS = 15


def stage_1_networks(config: Any) -> tuple[str, ...]:
    """The networks that stage 1 runs: without the bridge if it takes no steps."""
    return ("encoder", "coarse") if config.sampling.coarse_steps else ("encoder",)


class PriorObjective(Objective):
    """An unconditional DDPM (Ho et al. 2020) on CT volumes: eq. 4 without its condition."""

    model: AxonModel

    @classmethod
    def trains(cls, config: Any, loss: Any) -> tuple[str, ...]:
        return ("prior",)

    @classmethod
    def check(cls, config: Any, loss: Any) -> None:
        if "prior" not in config.networks:
            raise AxonInputError(
                "model.fine_diff is 'bridge': there is no prior. Train controlnet instead."
            )

    def forward(self, batch: Batch) -> torch.Tensor:
        draws, diffusion = batch.drawn(), self.model.config.diffusion
        t = (diffusion.steps * draws.t**self.loss.prior_t_power).long().to(batch.volume.device)
        return self._loss_at(batch.volume, t, draws.noise)

    @property
    def prior(self) -> nn.Module:
        """The network."""
        return self.model.network("prior")

    def _loss_at(self, volume: torch.Tensor, t: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        diffusion = self.model.config.diffusion
        output = self.prior(diffusion.q_sample(volume, t, noise), t)
        return (output - diffusion.target(volume, t, noise)).square().mean()

    def measure(self, case: ValidationCase) -> Measurement:
        """The loss at fixed times and noise, and a sample from pure noise."""
        volume, diffusion = case.batch.volume, self.model.config.diffusion
        fixed = torch.Generator().manual_seed(0)
        losses = []
        for time in range(50, diffusion.steps, 150):
            noise = torch.randn(volume.shape, generator=fixed).to(volume)
            t = torch.tensor([time], device=volume.device)
            losses.append(self._loss_at(volume, t, noise).item())
        start = torch.randn(volume.shape, generator=fixed).to(volume)

        def denoise(y_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            output = self.prior(y_t, t)
            return diffusion.predict_x0(output, y_t, t).clamp(-1, 1)

        timesteps = diffusion.timesteps(PRIOR_SAMPLE_STEPS)
        sample = ddim(diffusion, denoise, start, timesteps)
        note = "drawn from pure noise; it shows no patient"
        return Measurement({"noise_loss": sum(losses) / len(losses)}, sample[0, 0], note)

    def score(self, metrics: dict[str, float]) -> float:
        return metrics["noise_loss"]


class ControlNetObjective(Objective):
    """Trains the ControlNet on X^, with prior, encoder and stage 1's bridge frozen; or stage 2's
    own bridge from X^.

    X^ is stage 1's one-step estimate, or with ``loss.sampled_condition`` a sample as at inference,
    with conditioning augmentation. The loss is L2 on the prior's or the bridge's target. Times are
    drawn over the range that sampling visits, for a bridge as in stage 1. A global encoder is
    trained jointly.
    """

    model: AxonModel

    @classmethod
    def trains(cls, config: Any, loss: Any) -> tuple[str, ...]:
        return ("controlnet",)

    @classmethod
    def needs(cls, config: Any, loss: Any) -> tuple[str, ...]:
        return *stage_1_networks(config), *(("prior",) if "prior" in config.networks else ())

    def forward(self, batch: Batch) -> torch.Tensor:
        model, settings, draws = self.model, self.loss, batch.drawn()
        views = batch.training_views()
        with torch.no_grad():
            steps, generators = model.config.sampling.coarse_steps, draws.generators()
            if not settings.sampled_condition:
                steps = min(1, steps)
            x = torch.cat(
                [
                    model.coarse_diff.run(v, steps, g, tta_shifts=1)
                    for v, g in zip(views.split(), generators, strict=True)
                ]
            )
            strengths = augmentation_strengths(draws, settings.conditioning_augmentation)
            x = corrupt_condition(x, generators, strengths).clamp(-1, 1)
            seen = condition(model.config, views, x)
        embedding = model.fine_diff.global_embedding(views)
        seen = model.fine_diff.prepared(seen)
        t = model.fine_diff.training_times(draws, settings).to(x.device)
        y_t, target = model.fine_diff.noised(batch.volume, x, t, draws.noise)
        output = model.fine_diff.output(y_t, t, seen, embedding)
        if settings.clamp:
            # Table 4, "+ clamping": the clamped estimate has no gradient beyond [-1, 1].
            x0_hat = model.fine_diff.x0_of(output, y_t, t, seen).clamp(-1, 1)
            return (x0_hat - batch.volume).square().mean()
        return (output - target).square().mean()

    def measure(self, case: ValidationCase) -> Measurement:
        """Measure stage 2 and stage 1; without clamping, also the unclipped volume
        (``VIEWS_fine_unclipped``)."""
        model, sampling = self.model, self.model.config.sampling
        row: dict[str, float] = {}
        shown = {}
        for name, views in self.by_views(case).items():
            generator = torch.Generator().manual_seed(0)
            x = model.coarse_diff.run(views, sampling.coarse_steps, generator)
            generator = torch.Generator().manual_seed(0)
            fine = model.fine_diff.run(views, x, sampling.fine_steps, generator)
            row |= self.compare(f"{name}_coarse", x, case.batch.volume)
            row |= self.compare(f"{name}_fine", fine, case.batch.volume)
            if not sampling.fine_clamp:
                row |= self.compare(f"{name}_fine_unclipped", fine, case.batch.volume, clip=False)
            shown[name] = fine[0, 0]
        return Measurement(row, shown[self.shown_views])

    def score(self, metrics: dict[str, float]) -> float:
        return -self.weigh(metrics["v2_fine_psnr"], metrics["v1_fine_psnr"])
