"""The variational autoencoder: a volume to latents of unit variance, and back."""

from __future__ import annotations

import torch
from torch import nn

from axon_backend.methods.global_vector_ldm.config import AutoencoderConfig
from axon_backend.networks.blocks import depth_to_space, space_to_depth

# Share of each training batch in the running mean and variance of the latents.
_MOMENTUM = 0.01


class LatentAutoencoder(nn.Module):
    """MONAI's AutoencoderKL after a space-to-depth operation, with the latents' mean and variance.

    A diffusion starts from unit noise, so its samples should have unit variance too: latents are
    standardised per channel with their mean and variance in training.
    """

    mean: torch.Tensor
    variance: torch.Tensor

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        from monai.networks.nets import AutoencoderKL

        self.config = config
        cells, levels = config.patch**3, len(config.channels)
        self.net = AutoencoderKL(
            spatial_dims=3,
            in_channels=cells,
            out_channels=cells,
            num_res_blocks=(config.blocks,) * levels,
            channels=config.channels,
            attention_levels=(False,) * levels,
            latent_channels=config.latents,
            norm_num_groups=config.groups,
            with_encoder_nonlocal_attn=False,
            with_decoder_nonlocal_attn=False,
        )
        self.register_buffer("mean", torch.zeros(1, config.latents, 1, 1, 1))
        self.register_buffer("variance", torch.ones(1, config.latents, 1, 1, 1))

    def posterior(self, volume: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of the unstandardised latents of (B, 1, h, h, h): each
        (B, C, n, n, n) with n = h / factor."""
        mu, sigma = self.net.encode(space_to_depth(volume, self.config.patch))
        return mu.float(), sigma.float()

    def reconstruct(self, z: torch.Tensor) -> torch.Tensor:
        """The volume (B, 1, h, h, h) of unstandardised latents."""
        return depth_to_space(self.net.decode(z), self.config.patch).float()

    @torch.no_grad()
    def track(self, z: torch.Tensor) -> None:
        """Update the running mean and variance with a training batch's latents."""
        flat = z.transpose(0, 1).flatten(1)
        shape = self.mean.shape
        self.mean.lerp_(flat.mean(1).reshape(shape), _MOMENTUM)
        spread = (flat - self.mean.reshape(-1, 1)).square().mean(1)
        self.variance.lerp_(spread.reshape(shape), _MOMENTUM)

    def encode(self, volume: torch.Tensor) -> torch.Tensor:
        """The standardised latents of a volume, the mean of their distribution."""
        return (self.posterior(volume)[0] - self.mean) / self.variance.sqrt()

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """The volume of standardised latents."""
        return self.reconstruct(latents * self.variance.sqrt() + self.mean)
