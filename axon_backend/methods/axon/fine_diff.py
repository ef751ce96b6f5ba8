"""Stage 2, FineDiff: from X^ to the CT, and what it shares with stage 1 (paper, section 3.2).

The prior steered by the ControlNet, or for Table 4's "BBDM" a second Brownian bridge; with or
without a global encoder of the X-rays (``AxonConfig.fine_process``, ``global_encoder``).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

from axon_backend.diffusion.bridge import OnStep
from axon_backend.diffusion.gaussian import sampler
from axon_backend.methods.axon.config import AxonConfig
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.networks.lifting import back_project, back_project_residuals
from axon_backend.networks.precision import autocast
from axon_backend.networks.unet import ControlBranch, DiffusionUNet


def shifted(on_step: OnStep, before: int, total: int, i: int, n: int, x: torch.Tensor) -> None:
    """Count the steps of one draw, or of one place, among those of all."""
    on_step(before + i, total, x)


class FineDiff(nn.Module):
    """The half of ``methods.axon.Axon`` that holds and runs stage 2.

    Attributes:
        controlnet: the ControlNet, or the U-Net of the bridge.
        prior: there is none with a bridge.
    """

    config: AxonConfig
    always_bfloat16: bool
    controlnet: ControlBranch | DiffusionUNet
    prior: DiffusionUNet

    def _build_fine(self, condition_channels: int) -> None:
        config = self.config
        side = config.encoder.view_size if config.global_encoder else 0
        if config.fine_process == "bridge":
            self.controlnet = DiffusionUNet(config.prior, 1 + condition_channels, view_side=side)
        else:
            self.prior = DiffusionUNet(config.prior, in_channels=1)
            self.controlnet = ControlBranch(config.prior, condition_channels, view_side=side)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def condition(self, views: RegisteredViews, volume: torch.Tensor) -> torch.Tensor:
        """The volume that conditions a stage, with the X-rays and what it misses of them if
        configured: (B, 1 or 5, h, h, h)."""
        if not self.config.see_views:
            return volume
        both = [v for v in (views.frontal, views.lateral) if v is not None]
        size = volume.shape[-1]
        spread = back_project(both, size, views.beam)
        wrong = back_project_residuals(volume, both, views.beam)
        return torch.cat([volume, spread, wrong], 1)

    def summary(self, views: RegisteredViews) -> torch.Tensor | None:
        """What stage 2's global encoder makes of the X-rays, (B, width); None without one."""
        if self.controlnet.global_encoder is None:
            return None
        both = [v for v in (views.frontal, views.lateral) if v is not None]
        return self.controlnet.global_encoder(both)

    def fine_output(
        self,
        y: torch.Tensor,
        t: torch.Tensor,
        condition: torch.Tensor,
        summary: torch.Tensor | None = None,
        scale: float = 1.0,
    ) -> torch.Tensor:
        """Stage 2's output at y_t: the prior's, steered by the ControlNet, or the bridge's."""
        if isinstance(self.controlnet, DiffusionUNet):
            return self.controlnet(torch.cat([y, condition], 1), t, None, summary)
        down, middle = self.controlnet(y, t, condition, summary)
        if scale != 1.0:
            down, middle = [scale * d for d in down], scale * middle
        return self.prior(y, t, (down, middle))

    def fine_from_output(
        self, output: torch.Tensor, y: torch.Tensor, t: torch.Tensor, condition: torch.Tensor
    ) -> torch.Tensor:
        """The estimate of Y that an output of stage 2 at y_t means. (The condition's first channel
        is X^, where a bridge starts.)"""
        if self.config.fine_process == "bridge":
            return self.config.bridge.estimate(output, y, condition[:, :1], t)
        return self.config.diffusion.estimate(output, y, t)

    def fine_estimate(
        self,
        y: torch.Tensor,
        t: torch.Tensor,
        condition: torch.Tensor,
        scale: float = 1.0,
        summary: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Stage 2's estimate of Y at y_t."""
        with autocast(self.device, self.always_bfloat16):
            output = self.fine_output(y, t, condition, summary, scale)
        return self.fine_from_output(output, y, t, condition)

    def run_fine(
        self,
        views: RegisteredViews,
        coarse: torch.Tensor,
        steps: int,
        generator: torch.Generator,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        """Stage 2, FineDiff: Y^, clipped to [-1, 1]."""
        s, diffusion, bridge = self.config.sampling, self.config.diffusion, self.config.bridge
        condition = self.condition(views, coarse)
        with autocast(self.device, self.always_bfloat16):
            summary = self.summary(views)

        def denoise(y: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            guess = self.fine_estimate(y, t, condition, s.fine_scale, summary)
            return guess.clamp(-s.fine_clamp, s.fine_clamp)

        bridged = self.config.fine_process == "bridge"
        times = bridge.schedule(steps) if bridged else diffusion.times(steps, s.fine_start)
        first = torch.full((coarse.shape[0],), times[0], device=coarse.device)
        total = len(times) * s.fine_draws
        mean = torch.zeros_like(coarse)
        for draw in range(s.fine_draws):
            how: dict[str, Any] = {
                "eta": s.fine_eta,
                "generator": generator,
                "on_step": on_step and partial(shifted, on_step, draw * len(times), total),
            }
            if bridged:
                mean += bridge.sample(denoise, coarse, steps, **how)
                continue
            noise = torch.randn(coarse.shape, generator=generator).to(coarse)
            start = noise if s.fine_start >= 1.0 else diffusion.diffuse(coarse, first, noise)
            mean += sampler(s.fine_sampler)(diffusion, denoise, start, times, **how)
        sample = mean / s.fine_draws
        return (coarse + s.fine_detail * (sample - coarse)).clamp(-1, 1)
