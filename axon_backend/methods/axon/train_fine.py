"""Stages "prior" and "controlnet": the unconditional prior, then the branch that steers it.

With ``model.fine_process=bridge`` there is no prior, and stage "controlnet" trains the bridge.
"""

from __future__ import annotations

import torch

from axon_backend.diffusion.gaussian import sampler
from axon_backend.methods.axon.train_coarse import draw_times
from axon_backend.methods.axon.train_encoder import weigh
from axon_backend.methods.objective import (
    Measured,
    Stage,
    blur_of_trust,
    by_sample,
    doubts,
    draws_of,
    figures,
    views_of,
)
from axon_backend.training.data.batch import TIME, Batch
from axon_backend.training.data.cases import Case

# Denoising steps of the prior's own sample, which is for looking at only.
PRIOR_SAMPLE_STEPS = 15


class PriorStage(Stage):
    """An unconditional DDPM (Ho et al. 2020) on CT volumes: eq. 4 without its condition."""

    def forward(self, batch: Batch) -> torch.Tensor:
        draws, diffusion = draws_of(batch), self.model.config.diffusion
        power = self.loss.prior_t_power
        t = (diffusion.steps * draws.chance[:, TIME] ** power).long().to(batch.volume.device)
        return self._loss_at(batch.volume, t, draws.noise)

    def _loss_at(self, volume: torch.Tensor, t: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        diffusion = self.model.config.diffusion
        output = self.model.prior(diffusion.diffuse(volume, t, noise), t)
        return (output - diffusion.target(volume, t, noise)).square().mean()

    def measure(self, case: Case) -> Measured:
        """The loss at fixed times and noise, and a sample from pure noise."""
        volume, diffusion = case.batch.volume, self.model.config.diffusion
        fixed = torch.Generator().manual_seed(0)
        losses = []
        for time in range(50, diffusion.steps, 150):
            noise = torch.randn(volume.shape, generator=fixed).to(volume)
            t = torch.tensor([time], device=volume.device)
            losses.append(self._loss_at(volume, t, noise).item())
        start = torch.randn(volume.shape, generator=fixed).to(volume)

        def denoise(y: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            return diffusion.estimate(self.model.prior(y, t), y, t).clamp(-1, 1)

        sample = sampler("ddim")(diffusion, denoise, start, diffusion.times(PRIOR_SAMPLE_STEPS))
        note = "drawn from pure noise; it shows no patient"
        return Measured({"noise_loss": sum(losses) / len(losses)}, sample[0, 0], note)

    def score(self, figures: dict[str, float]) -> float:
        return figures["noise_loss"]


class ControlNetStage(Stage):
    """The ControlNet on X^ with the prior, the encoder and stage 1's bridge as they are; or stage
    2's own bridge from X^.

    X^ is stage 1's one-step estimate with errors put on; L2 on the prior's target, or on the
    bridge's. Times are drawn over the range that sampling visits, a bridge's as in stage 1. A
    global encoder learns along.
    """

    def forward(self, batch: Batch) -> torch.Tensor:
        model, settings = self.model, self.loss
        with torch.no_grad():
            samples = by_sample(batch)
            steps = min(1, model.config.sampling.coarse_steps)
            x = torch.cat([model.run_coarse(v, steps, g, places=1) for v, g in samples])
            generators = [generator for _, generator in samples]
            x = blur_of_trust(x, generators, doubts(batch, settings.doubt)).clamp(-1, 1)
            condition = torch.cat(
                [model.condition(v, x[i : i + 1]) for i, (v, _) in enumerate(samples)]
            )
        seen = [model.summary(v) for v, _ in samples]
        summary = torch.cat([s for s in seen if s is not None]) if seen[0] is not None else None
        t, y, target = self._asked(batch, x)
        output = model.fine_output(y, t, condition, summary)
        if settings.clamp:
            # Table 4, "+ clamping": the estimate is limited, and what lies beyond is not asked for.
            estimate = model.fine_from_output(output, y, t, condition).clamp(-1, 1)
            return (estimate - batch.volume).square().mean()
        return (output - target).square().mean()

    def _asked(
        self, batch: Batch, x: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Times, the noisy volumes there, and what the network is to return for them."""
        config, settings, draws = self.model.config, self.loss, draws_of(batch)
        if config.fine_process == "bridge":
            bridge = config.bridge
            t = draw_times(draws, bridge.steps, settings.t_power, settings.at_the_end).to(x.device)
            y = bridge.diffuse(batch.volume, x, t, draws.noise)
            return t, y, bridge.target(batch.volume, x, t, draws.noise)
        diffusion = config.diffusion
        last = max(1, round(config.sampling.fine_start * (diffusion.steps - 1)))
        t = ((last + 1) * draws.chance[:, TIME]).long().to(x.device)
        y = diffusion.diffuse(batch.volume, t, draws.noise)
        return t, y, diffusion.target(batch.volume, t, draws.noise)

    def measure(self, case: Case) -> Measured:
        """Stage 2 beside stage 1."""
        model, window = self.model, self.config.model.window
        sampling = model.config.sampling
        row: dict[str, float] = {}
        shown = {}
        for name, single in (("v2", False), ("v1", True)):
            views = views_of(case.batch, single)
            generator = torch.Generator().manual_seed(0)
            x = model.run_coarse(views, sampling.coarse_steps, generator)
            fine = model.run_fine(views, x, sampling.fine_steps, torch.Generator().manual_seed(0))
            row |= figures(f"{name}_coarse", x, case.batch.volume, window)
            row |= figures(f"{name}_fine", fine, case.batch.volume, window)
            shown[single] = fine[0, 0]
        return Measured(row, shown[self.loss.single_view >= 1])

    def score(self, figures: dict[str, float]) -> float:
        return -weigh(figures["v2_fine_psnr"], figures["v1_fine_psnr"], self.loss.single_view)
