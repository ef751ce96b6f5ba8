"""Trainings "autoencoder", and "latent": the diffusion of its latents."""

from __future__ import annotations

from typing import Any

import torch

from axon_backend.methods.batch import Batch, Draws, ValidationCase
from axon_backend.methods.from_noise import FromNoiseObjective
from axon_backend.methods.global_vector_ldm.model import GlobalVectorModel
from axon_backend.methods.objective import Measurement, Objective


def latent_noise(draws: Draws, shape: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
    """(B, *shape) standard normal noise, from each sample's own generator."""
    drawn = [torch.randn((1, *shape), generator=g) for g in draws.generators()]
    return torch.cat(drawn).to(like)


class AutoencoderObjective(Objective):
    """L1 of the reconstruction, and the KL divergence of the latents from a standard normal
    distribution.

    The perceptual and adversarial losses of Rombach et al. (2022) are omitted: the perceptual loss
    needs another network's weights.
    """

    model: GlobalVectorModel

    @classmethod
    def trains(cls, config: Any, loss: Any) -> tuple[str, ...]:
        return ("vae",)

    def forward(self, batch: Batch) -> torch.Tensor:
        vae = self.model.vae
        mu, sigma = vae.posterior(batch.volume)
        vae.track(mu.detach())
        noise = latent_noise(batch.drawn(), self.model.config.latent_shape, mu)
        error = vae.reconstruct(mu + sigma * noise) - batch.volume
        divergence = 0.5 * (mu.square() + sigma.square() - 1) - sigma.clamp_min(1e-12).log()
        return error.abs().mean() + self.loss.kl * divergence.mean()

    def measure(self, case: ValidationCase) -> Measurement:
        """Measure a CT encoded to latents and decoded."""
        volume = case.batch.volume
        out = self.model.vae.decode(self.model.vae.encode(volume))
        note = "compressed and expanded; the X-rays have no part in it"
        return Measurement(self.compare("vae", out, volume), out[0, 0], note)

    def score(self, metrics: dict[str, float]) -> float:
        return -metrics["vae_psnr"]


class LatentObjective(FromNoiseObjective):
    """L1 on the denoiser's target, by default x0 of the latents, with the autoencoder frozen.
    (X-ray2CTPA adds 0.01 LPIPS, which needs another network's weights.)"""

    model: GlobalVectorModel

    @classmethod
    def trains(cls, config: Any, loss: Any) -> tuple[str, ...]:
        return "xray", "denoiser"

    @classmethod
    def needs(cls, config: Any, loss: Any) -> tuple[str, ...]:
        return ("vae",)

    def forward(self, batch: Batch) -> torch.Tensor:
        model, draws = self.model, batch.drawn()
        diffusion = model.config.diffusion
        with torch.no_grad():
            z = model.vae.encode(batch.volume)
        t = (diffusion.steps * draws.t ** (1 / self.loss.t_power)).long().to(z.device)
        noise = latent_noise(draws, model.config.latent_shape, z)
        vectors = model.xray(batch.training_views())
        output = model.denoiser(diffusion.q_sample(z, t, noise), t, context=vectors)
        return (output - diffusion.target(z, t, noise)).abs().mean()
