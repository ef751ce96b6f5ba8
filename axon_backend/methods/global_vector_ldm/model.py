"""The model: autoencoder, X-ray encoder and denoiser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from axon_backend.methods.from_noise import FromNoiseModel
from axon_backend.methods.global_vector_ldm.autoencoder import LatentAutoencoder
from axon_backend.methods.global_vector_ldm.config import GlobalVectorConfig
from axon_backend.methods.global_vector_ldm.view_encoder import GlobalViewEncoder
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.networks.blocks import channels_last
from axon_backend.networks.precision import normalise_in_float32

if TYPE_CHECKING:
    from axon_backend.methods.protocol import Method


class GlobalVectorModel(FromNoiseModel):
    """A latent diffusion whose condition has no spatial positions.

    Args:
        method: the method of this model.
        config: architecture, schedule and sampling defaults.
    """

    IN_LATENTS = True
    config: GlobalVectorConfig

    def __init__(self, method: Method, config: GlobalVectorConfig) -> None:
        super().__init__(method, config)
        from monai.networks.nets import DiffusionModelUNet
        from monai.networks.nets.diffusion_model_unet import SpatialTransformer

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
        # MONAI initialises the layer after the attention to zero. The X-ray encoder's gradient then
        # starts at zero too, and a short training never comes to use the X-rays.
        for module in self.denoiser.modules():
            if isinstance(module, SpatialTransformer):
                layer = module.proj_out.get_submodule("conv")
                assert isinstance(layer, nn.Conv3d)
                layer.reset_parameters()
        normalise_in_float32(channels_last(self))

    @property
    def sample_shape(self) -> tuple[int, ...]:
        return self.config.latent_shape

    def conditions(self, views: RegisteredViews) -> torch.Tensor:
        """A vector for each view, (B, 2, width)."""
        return self.xray(views)

    def denoise(self, y_t: torch.Tensor, t: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
        return self.denoiser(y_t, t, context=conditions).float()

    def decode(self, sample: torch.Tensor) -> torch.Tensor:
        return self.vae.decode(sample)
