"""Generator, decoder and denoiser behind one object."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from axon_backend.diffusion.sampling import OnStep
from axon_backend.methods.diffux2ct.config import DiffuX2CTConfig
from axon_backend.methods.diffux2ct.decoder import LevelDecoders
from axon_backend.methods.diffux2ct.denoiser import Denoiser
from axon_backend.methods.diffux2ct.tri_plane import TriPlaneGenerator
from axon_backend.methods.protocol import Model, RegisteredViews
from axon_backend.networks.blocks import channels_last
from axon_backend.networks.precision import autocast, normalise_in_float32
from axon_backend.util.run_context import RunContext

if TYPE_CHECKING:
    from axon_backend.methods.protocol import Method


class DiffuX2CTModel(Model):
    """A conditional diffusion of voxels.

    Args:
        method: DiffuX2CT.
        config: architecture, schedule and sampling defaults.
    """

    config: DiffuX2CTConfig

    def __init__(self, method: Method, config: DiffuX2CTConfig) -> None:
        super().__init__(method, config)
        planes = config.tri_plane.planes
        self.tri_plane = TriPlaneGenerator(config.tri_plane)
        self.decoder = LevelDecoders(planes, config.decoder, config.level_sizes)
        self.denoiser = Denoiser(config.denoiser, config.decoder.features)
        normalise_in_float32(channels_last(self))

    def conditions(self, views: RegisteredViews) -> list[torch.Tensor]:
        """What the X-rays say of each voxel, a (B, features, n, n, n) for each level."""
        return self.decoder(self.tri_plane(views), views.beam)

    def draw(
        self,
        views: RegisteredViews,
        steps: int | None,
        generator: torch.Generator,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        """A sample of the CT, (B, 1, h, h, h) clipped to [-1, 1]."""
        diffusion = self.config.diffusion
        with autocast(self.device, self.always_bfloat16):
            conditions = self.conditions(views)

        def denoise(y_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            with autocast(self.device, self.always_bfloat16):
                output = self.denoiser(y_t, t, conditions)
            return diffusion.predict_x0(output, y_t, t)

        sample = self.config.sampling.draw(
            diffusion,
            denoise,
            (len(views.frontal), 1, *(self.config.size,) * 3),
            device=self.device,
            generator=generator,
            steps=steps,
            on_step=on_step,
        )
        return sample.clamp(-1, 1)

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
        return self.draw(
            views.to(self.device),
            steps,
            self.generator(stage, context.seed),
            partial(context.report, stage),
        )
