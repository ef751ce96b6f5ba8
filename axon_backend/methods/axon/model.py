"""The AXON model: its three stages (paper, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch

from axon_backend.imaging.standardise import LIMIT
from axon_backend.methods.axon.coarse_diff import CoarseDiff
from axon_backend.methods.axon.config import AxonConfig
from axon_backend.methods.axon.fine_diff import ControlNetFineDiff, fine_diff
from axon_backend.methods.axon.super_resolution import SuperResolution
from axon_backend.methods.protocol import Model, RegisteredViews
from axon_backend.networks.blocks import channels_last
from axon_backend.networks.harmoniser import Harmoniser
from axon_backend.networks.precision import autocast
from axon_backend.util.run_context import RunContext

if TYPE_CHECKING:
    from axon_backend.methods.protocol import Method


class AxonModel(Model):
    """CoarseDiff, FineDiff and SR-Net, and the harmoniser of the X-rays, if there is one.

    Args:
        method: the AXON method.
        config: architecture, schedules and sampling defaults.
    """

    PATHS = {
        "encoder": "coarse_diff.encoder",
        "coarse": "coarse_diff.unet",
        "prior": "fine_diff.prior",
        "controlnet": "fine_diff.controlnet",
        "sr": "super_resolution.network",
    }
    AUTOCASTS = True
    config: AxonConfig

    def __init__(self, method: Method, config: AxonConfig) -> None:
        super().__init__(method, config)
        self.coarse_diff = CoarseDiff(config, self.precision)
        self.fine_diff = fine_diff(config, self.precision)
        self.super_resolution = SuperResolution(config, self.precision)
        if config.harmoniser:
            self.harmoniser = Harmoniser(config.harmoniser, config.view_size, LIMIT)
        channels_last(self)

    def harmonised(self, views: RegisteredViews) -> RegisteredViews:
        """The views in the grey scale of DRRs; unchanged without a harmoniser."""
        if not self.has_network("harmoniser"):
            return views
        with autocast(self.device, self.always_bfloat16):
            frontal = self.harmoniser(views.frontal, True)
            lateral = None if views.lateral is None else self.harmoniser(views.lateral, False)
        return replace(views, frontal=frontal, lateral=lateral)

    @torch.inference_mode()
    def run_stage(
        self,
        stage: str,
        views: RegisteredViews,
        volume: torch.Tensor | None,
        *,
        steps: int | None = None,
        context: RunContext | None = None,
        slab: int | None = None,
    ) -> torch.Tensor:
        context = context or RunContext()
        generator = self.generator(stage, context.seed)
        on_step = partial(context.report, stage)
        if steps is None:
            steps = self.method.default_steps(self.config)[stage]
        if stage == "coarse":
            seen = self.harmonised(views.to(self.device))
            return self.coarse_diff.run(seen, steps, generator, on_step)
        if volume is None:
            raise ValueError(f"stage {stage!r} needs stage 'coarse' before it")
        volume = volume.to(self.device)
        if stage == "fine":
            seen = self.harmonised(views.to(self.device))
            return self.fine_diff.run(seen, volume, steps, generator, on_step)
        volume = self.super_resolution.run(volume, slab)
        on_step(1, 1, volume)
        return volume

    def set_mean_volume(self, mean: torch.Tensor) -> None:
        if self.has_network("encoder"):
            factor = mean.shape[-1] // self.config.grid
            self.coarse_diff.encoder.mean.copy_(torch.nn.functional.avg_pool3d(mean, factor))

    def initialise(self, network: str) -> str | None:
        """The ControlNet starts as a copy of the prior's encoder and middle (Zhang et al. 2023)."""
        if network != "controlnet" or not isinstance(self.fine_diff, ControlNetFineDiff):
            return None
        self.fine_diff.controlnet.copy_from(self.fine_diff.prior)
        return "prior"

    def complete(
        self, network: str, state: Mapping[str, torch.Tensor]
    ) -> Mapping[str, torch.Tensor]:
        """A global encoder that the weights lack starts at zero output and so changes nothing."""
        own = self.network(network).state_dict()
        return {**{k: v for k, v in own.items() if k.startswith("global_encoder.")}, **state}
