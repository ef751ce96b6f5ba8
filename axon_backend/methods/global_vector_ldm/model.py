"""Autoencoder, X-ray encoder and denoiser behind one object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from axon_backend.diffusion.sampling import OnStep
from axon_backend.methods.global_vector_ldm.autoencoder import LatentAutoencoder
from axon_backend.methods.global_vector_ldm.config import GlobalVectorConfig
from axon_backend.methods.global_vector_ldm.view_encoder import GlobalViewEncoder
from axon_backend.methods.protocol import Model, RegisteredViews
from axon_backend.networks.blocks import channels_last
from axon_backend.networks.precision import autocast, normalise_in_float32
from axon_backend.util.run_context import RunContext

if TYPE_CHECKING:
    from axon_backend.methods.protocol import Method


class GlobalVectorModel(Model):
    """A latent diffusion whose condition has no position.

    Args:
        method: that this is a model of.
        config: architecture, schedule and sampling defaults.
    """

    config: GlobalVectorConfig

    def __init__(self, method: Method, config: GlobalVectorConfig) -> None:
        super().__init__(method, config)
        from monai.networks.nets import DiffusionModelUNet

        self.vae = LatentAutoencoder(config.autoencoder)
        self.xray = GlobalViewEncoder(config.view_encoder)
        net, latents = config.denoiser, config.autoencoder.latents
        self.denoiser = DiffusionModelUNet(
            spatial_dims=3,
            in_channels=latents,
            out_channels=latents,
            channels=net.channels,
            attention_levels=net.attention,
            num_res_blocks=net.blocks,
            norm_num_groups=net.groups,
            num_head_channels=net.head_channels,
            with_conditioning=True,
            cross_attention_dim=config.view_encoder.width,
            use_flash_attention=True,
        )
        normalise_in_float32(channels_last(self))

    def draw(
        self,
        views: RegisteredViews,
        steps: int | None,
        generator: torch.Generator,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        """A sample of the CT, (B, 1, h, h, h) clipped to [-1, 1]. ``on_step`` is given latents."""
        diffusion = self.config.diffusion
        with autocast(self.device, self.always_bfloat16):
            vectors = self.xray(views)

        def denoise(z_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            with autocast(self.device, self.always_bfloat16):
                output = self.denoiser(z_t, t, context=vectors)
            return diffusion.predict_x0(output.float(), z_t, t)

        latents = self.config.sampling.draw(
            diffusion,
            denoise,
            (len(views.frontal), *self.config.latent_shape),
            device=self.device,
            generator=generator,
            steps=steps,
            on_step=on_step,
        )
        with autocast(self.device, self.always_bfloat16):
            return self.vae.decode(latents).clamp(-1, 1)

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

        def on_step(done: int, total: int, latents: torch.Tensor) -> None:
            context.report(stage, done, total)  # latents are no preview of the volume

        generator = self.generator(stage, context.seed)
        return self.draw(views.to(self.device), steps, generator, on_step)
