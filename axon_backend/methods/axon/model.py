"""AXON: CoarseDiff, FineDiff and SR-Net behind one object (paper, section 3)."""

from __future__ import annotations

import copy
import time
from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from axon_backend.diffusion.bridge import OnStep
from axon_backend.methods.axon.config import PRESETS, AxonConfig, Sampling, paper, preview
from axon_backend.methods.axon.fine_diff import FineDiff, shifted
from axon_backend.methods.axon.test_time_augmentation import PLACES, MovedBackMean, moved_views
from axon_backend.methods.protocol import Progress, RegisteredViews, StageVolumes
from axon_backend.networks.blocks import channels_last
from axon_backend.networks.encoder import LiftingEncoder
from axon_backend.networks.precision import autocast
from axon_backend.networks.srnet import SRNet
from axon_backend.networks.unet import DiffusionUNet

__all__ = ["PRESETS", "STAGES", "Axon", "AxonConfig", "Sampling", "paper", "preview"]

STAGES = ("coarse", "fine", "sr")
STAGE_PARTS = {"coarse": ("encoder", "coarse"), "fine": ("prior", "controlnet"), "sr": ("sr",)}


class Axon(FineDiff):
    """The networks and how they are run. Implements :class:`methods.protocol.Reconstructor`.

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
        self._build_fine(1 + extra)
        self.sr = SRNet(config.sr)
        channels_last(self)

    PARTS = ("encoder", "coarse", "prior", "controlnet", "sr")
    """All networks that a model may have; ``config.parts`` are those that it has."""

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

    def run_coarse(
        self,
        views: RegisteredViews,
        steps: int,
        generator: torch.Generator,
        on_step: OnStep | None = None,
        places: int | None = None,
    ) -> torch.Tensor:
        """Stage 1, CoarseDiff: X^, clipped to [-1, 1]; no steps return F(x) itself.

        ``places``: as ``Sampling.coarse_places``, which is the default for one step or none.
        """
        if places is None:
            # Several steps draw a sample; the mean of four draws would hide how much they differ.
            places = self.config.sampling.coarse_places if steps <= 1 else 1
        corners = PLACES[places]
        total = max(1, steps) * len(corners)
        mean = MovedBackMean()
        for i, corner in enumerate(corners):
            moved = views
            if any(corner):
                moved = moved_views(views, corner, self.config.encoder.size)
            told = on_step and partial(shifted, on_step, i * max(1, steps), total)
            mean.add(self._run_bridge(moved, steps, generator, told), corner)
        return mean.mean()

    def _run_bridge(
        self,
        views: RegisteredViews,
        steps: int,
        generator: torch.Generator,
        on_step: OnStep | None,
    ) -> torch.Tensor:
        """X^ of the X-rays as they lie."""
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

    def run_sr(self, volume: torch.Tensor, slab: int | None = None) -> torch.Tensor:
        """Stage 3, SR-Net: (B, 1, h, h, h) -> (B, 1, g h, g h, g h) in normalised HU, clipped to
        [-1, 1]; without the local means that ``Sampling.sr_scale`` leaves out. ``slab``: slices at
        a time, where memory is short."""
        scale = self.config.sampling.sr_scale
        with autocast(self.device, self.always_bfloat16):
            fine = self.sr(volume, slab)
        if scale:
            enlarge = partial(
                F.interpolate, size=fine.shape[2:], mode="trilinear", align_corners=False
            )
            fine = fine - enlarge(F.avg_pool3d(fine - enlarge(volume).to(fine), scale))
        return fine.clamp(-1, 1)

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
        for part in (p for p in STAGE_PARTS[stage] if p in self.config.parts):
            setattr(other, part, copy.deepcopy(getattr(self, part)))
        return other.eval()

    def with_sampling(self, **changes: Any) -> Axon:
        """The same weights with other sampling settings (this object is changed and returned)."""
        self.config = replace(self.config, sampling=replace(self.config.sampling, **changes))
        return self
