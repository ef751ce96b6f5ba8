"""Sampling of a Gaussian diffusion from pure noise, with its settings."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from axon_backend.diffusion.gaussian import SAMPLERS, GaussianDiffusion, sampler
from axon_backend.diffusion.sampling import Denoiser, OnStep, noise_like


@dataclass(frozen=True)
class NoiseSampling:
    """How a sample is drawn from pure noise.

    Attributes:
        steps: evaluations of the network.
        sampler: one of ``diffusion.gaussian.SAMPLERS``.
        eta: for ``ddim``: 0 is deterministic after the start, 1 is ancestral.
        clamp: clamp estimates of the clean volume to [-clamp, clamp] at every step; 0 disables it.
    """

    steps: int = 50
    sampler: str = "ddim"
    eta: float = 0.0
    clamp: float = 1.0

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, got {self.sampler!r}")
        if self.steps < 1:
            raise ValueError(f"steps is {self.steps}; at least one step is needed")
        if self.clamp < 0:
            raise ValueError(f"clamp is {self.clamp:g}; it must be 0 or more")

    def draw(
        self,
        diffusion: GaussianDiffusion,
        denoise: Denoiser,
        shape: tuple[int, ...],
        *,
        device: torch.device,
        generator: torch.Generator,
        steps: int | None = None,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        """Draw a sample.

        Args:
            diffusion: the diffusion process.
            denoise: estimate of the clean volume from (y_t, t).
            shape: (B, C, h, h, h).
            device: device of the networks.
            generator: source of all noise, on the CPU so that a seed gives the same noise for any
                device.
            steps: overrides :attr:`steps`.
            on_step: called after every step, for progress and cancellation.

        Returns:
            (B, C, h, h, h), clamped like the estimates.
        """

        def limited(y_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            x0_hat = denoise(y_t, t)
            return x0_hat.clamp(-self.clamp, self.clamp) if self.clamp else x0_hat

        return sampler(self.sampler)(
            diffusion,
            limited,
            noise_like(torch.empty(shape, device=device), generator),
            diffusion.timesteps(steps or self.steps),
            eta=self.eta,
            generator=generator,
            on_step=on_step,
        )
