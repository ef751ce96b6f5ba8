"""AXON: CoarseDiff, FineDiff and SR-Net behind one object (paper, section 3)."""

from __future__ import annotations

import copy
import time
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from axon_backend.diffusion.bridge import OnStep
from axon_backend.diffusion.gaussian import sampler
from axon_backend.methods.axon_config import PRESETS, AxonConfig, Sampling, paper, preview
from axon_backend.methods.protocol import Progress, RegisteredViews, StageVolumes
from axon_backend.networks.blocks import channels_last
from axon_backend.networks.encoder import LiftingEncoder
from axon_backend.networks.lifting import back_project, back_project_residuals
from axon_backend.networks.precision import autocast
from axon_backend.networks.srnet import SRNet
from axon_backend.networks.unet import ControlBranch, DiffusionUNet

__all__ = ["PRESETS", "STAGES", "Axon", "AxonConfig", "Sampling", "paper", "preview"]

STAGES = ("coarse", "fine", "sr")
STAGE_PARTS = {"coarse": ("encoder", "coarse"), "fine": ("prior", "controlnet"), "sr": ("sr",)}


def _shifted(on_step: OnStep, before: int, total: int, i: int, n: int, x: torch.Tensor) -> None:
    """Count the steps of one draw among those of all."""
    on_step(before + i, total, x)


class Axon(nn.Module):
    """The five networks and how they are run. Implements :class:`methods.protocol.Reconstructor`.

    Args:
        config: architecture, schedules and sampling defaults.
    """

    name = "axon"

    def __init__(self, config: AxonConfig) -> None:
        super().__init__()
        self.config = config
        self.always_bfloat16 = False
        extra = 4 if config.see_views else 0
        self.encoder = LiftingEncoder(config.encoder)
        self.coarse = DiffusionUNet(config.coarse, in_channels=2 + extra)
        self.prior = DiffusionUNet(config.prior, in_channels=1)
        self.controlnet = ControlBranch(config.prior, condition_channels=1 + extra)
        self.sr = SRNet(config.sr)
        channels_last(self)

    PARTS = ("encoder", "coarse", "prior", "controlnet", "sr")

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

    def end_point(self, views: RegisteredViews) -> torch.Tensor:
        """F(x), (B, 1, h, h, h)."""
        with autocast(self.device, self.always_bfloat16):
            return self.encoder(views.frontal, views.lateral, views.beam)

    def coarse_estimate(
        self, x: torch.Tensor, t: torch.Tensor, end: torch.Tensor, condition: torch.Tensor
    ) -> torch.Tensor:
        """The bridge network's estimate of Y at x_t."""
        with autocast(self.device, self.always_bfloat16):
            output = self.coarse(torch.cat([x, condition], 1), t)
        return self.config.bridge.estimate(output, x, end, t)

    def fine_estimate(
        self, y: torch.Tensor, t: torch.Tensor, condition: torch.Tensor, scale: float = 1.0
    ) -> torch.Tensor:
        """The prior's estimate of Y at y_t, steered by the ControlNet."""
        with autocast(self.device, self.always_bfloat16):
            down, middle = self.controlnet(y, t, condition)
            if scale != 1.0:
                down, middle = [scale * d for d in down], scale * middle
            output = self.prior(y, t, (down, middle))
        return self.config.diffusion.estimate(output, y, t)

    def run_coarse(
        self,
        views: RegisteredViews,
        steps: int,
        generator: torch.Generator,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        """Stage 1, CoarseDiff: X^, clipped to [-1, 1]; no steps return F(x) itself."""
        end = self.end_point(views)
        if steps == 0:
            if on_step is not None:
                on_step(1, 1, end)
            return end.clamp(-1, 1)
        condition = self.condition(views, end)
        sample = self.config.bridge.sample(
            lambda x, t: self.coarse_estimate(x, t, end, condition),
            end,
            steps,
            eta=self.config.sampling.coarse_eta,
            generator=generator,
            on_step=on_step,
        )
        return sample.clamp(-1, 1)

    def run_fine(
        self,
        views: RegisteredViews,
        coarse: torch.Tensor,
        steps: int,
        generator: torch.Generator,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        """Stage 2, FineDiff: Y^, clipped to [-1, 1]."""
        s, diffusion = self.config.sampling, self.config.diffusion
        condition = self.condition(views, coarse)
        times = diffusion.times(steps, s.fine_start)
        first = torch.full((coarse.shape[0],), times[0], device=coarse.device)
        total = len(times) * s.fine_draws
        mean = torch.zeros_like(coarse)
        for draw in range(s.fine_draws):
            noise = torch.randn(coarse.shape, generator=generator).to(coarse)
            start = noise if s.fine_start >= 1.0 else diffusion.diffuse(coarse, first, noise)
            mean += sampler(s.fine_sampler)(
                diffusion,
                lambda y, t: self.fine_estimate(y, t, condition, s.fine_scale).clamp(
                    -s.fine_clamp, s.fine_clamp
                ),
                start,
                times,
                eta=s.fine_eta,
                generator=generator,
                on_step=on_step and partial(_shifted, on_step, draw * len(times), total),
            )
        sample = mean / s.fine_draws
        return (coarse + s.fine_detail * (sample - coarse)).clamp(-1, 1)

    def run_sr(self, volume: torch.Tensor, slab: int | None = None) -> torch.Tensor:
        """Stage 3, SR-Net: the volume on a grid gamma times as fine, clipped to [-1, 1]; ``slab``
        slices at a time where memory is short."""
        with autocast(self.device, self.always_bfloat16):
            return self.sr(volume, slab).clamp(-1, 1)

    @torch.inference_mode()
    def run_stage(
        self,
        stage: str,
        views: RegisteredViews,
        volume: torch.Tensor | None,
        *,
        steps: dict[str, int] | None = None,
        seed: int = 0,
        progress: Progress | None = None,
        slab: int | None = None,
    ) -> torch.Tensor:
        """Run one stage on the volume of the stage before it (None for ``coarse``).

        A stage draws from its own generator, seeded with ``seed`` and the stage's number, so that
        leaving a later stage out does not change an earlier one.

        Returns:
            (1, 1, n, n, n) in normalised HU, on this model's device.
        """
        steps = steps or {}
        generator = torch.Generator().manual_seed(seed * len(STAGES) + STAGES.index(stage))
        on_step = None if progress is None else partial(progress, stage)
        if stage == "coarse":
            count = steps.get(stage, self.config.sampling.coarse_steps)
            return self.run_coarse(views.to(self.device), count, generator, on_step)
        if volume is None:
            raise ValueError(f"stage {stage!r} needs stage 'coarse' before it")
        volume = volume.to(self.device)
        if stage == "fine":
            count = steps.get(stage, self.config.sampling.fine_steps)
            return self.run_fine(views.to(self.device), volume, count, generator, on_step)
        volume = self.run_sr(volume, slab)
        if on_step is not None:
            on_step(1, 1, volume)
        return volume

    @torch.inference_mode()
    def reconstruct(
        self,
        views: RegisteredViews,
        *,
        stages: tuple[str, ...] = STAGES,
        steps: dict[str, int] | None = None,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> StageVolumes:
        """Run the stages asked for; see :class:`methods.protocol.Reconstructor`."""
        unknown = {*stages, *(steps or {})} - set(STAGES)
        if unknown:
            raise ValueError(f"stages are {STAGES}, got {sorted(unknown)}")
        views = views.to(self.device)
        result = StageVolumes()
        volume: torch.Tensor | None = None
        for stage in STAGES:
            if stage not in stages:
                continue
            began = time.perf_counter()
            volume = self.run_stage(stage, views, volume, steps=steps, seed=seed, progress=progress)
            result.volumes[stage] = volume
            result.seconds[stage] = time.perf_counter() - began
        return result

    def copy_of_stage(self, stage: str) -> Axon:
        """A model of its own that holds nothing but the networks of one stage."""
        other = Axon.__new__(Axon)
        nn.Module.__init__(other)
        other.config, other.always_bfloat16 = self.config, self.always_bfloat16
        for part in STAGE_PARTS[stage]:
            setattr(other, part, copy.deepcopy(getattr(self, part)))
        return other.eval()

    def with_sampling(self, **changes: Any) -> Axon:
        """The same weights with other sampling settings (this object is changed and returned)."""
        self.config = replace(self.config, sampling=replace(self.config.sampling, **changes))
        return self
