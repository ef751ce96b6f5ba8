"""The Gaussian diffusion of the prior (DDPM), and samplers that need few steps.

    y_t = sqrt(abar_t) Y + sqrt(1 - abar_t) e,   abar_t = prod (1 - beta)      (Ho et al. 2020)

The samplers only use x0_hat, the estimate of Y; :meth:`GaussianDiffusion.predict_x0` computes it
from the network's prediction (``epsilon``, ``v`` or ``sample``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch

from axon_backend.diffusion.sampling import Denoiser, OnStep, noise_like, sample_loop

PREDICTIONS = ("epsilon", "v", "sample")
SCHEDULES = ("scaled_linear_beta", "linear_beta")
SAMPLERS = ("ddim", "dpmpp_2m")


@dataclass(frozen=True)
class GaussianDiffusion:
    """The noise schedule and the equations of the diffusion.

    Attributes:
        steps: T.
        beta_start, beta_end: first and last beta.
        schedule: one of :data:`SCHEDULES`, with MONAI's names: beta rises linearly (Ho et al.
            2020), or its square root does.
        prediction: what the network returns; ``v = sqrt(abar) e - sqrt(1 - abar) Y``
            (Salimans and Ho 2022).
    """

    steps: int = 1000
    beta_start: float = 0.0015
    beta_end: float = 0.0195
    prediction: str = "v"
    schedule: str = "scaled_linear_beta"

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {SCHEDULES}, got {self.schedule!r}")
        if self.prediction not in PREDICTIONS:
            raise ValueError(f"prediction must be one of {PREDICTIONS}, got {self.prediction!r}")

    @cached_property
    def alphas_cumprod(self) -> torch.Tensor:
        """abar_t, (T,) float64."""
        from monai.networks.schedulers import DDPMScheduler

        scheduler = DDPMScheduler(
            num_train_timesteps=self.steps,
            schedule=self.schedule,
            beta_start=self.beta_start,
            beta_end=self.beta_end,
        )
        return torch.cumprod(1.0 - scheduler.betas.double(), 0)

    def alpha_sigma(self, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """sqrt(abar_t), sqrt(1 - abar_t) as (B, 1, 1, 1, 1) float32."""
        alpha, sigma = self._tables(t.device)
        return alpha[t].reshape(-1, 1, 1, 1, 1), sigma[t].reshape(-1, 1, 1, 1, 1)

    def _tables(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """sqrt(abar) and sqrt(1 - abar) of every t, float32 on a device: looking up a time there
        does not wait for what the device computes."""
        known: dict[torch.device, tuple[torch.Tensor, torch.Tensor]] = self._known_tables
        if device not in known:
            abar = self.alphas_cumprod
            known[device] = (
                abar.sqrt().float().to(device),
                (1 - abar).sqrt().float().to(device),
            )
        return known[device]

    @cached_property
    def _known_tables(self) -> dict[torch.device, tuple[torch.Tensor, torch.Tensor]]:
        return {}

    def q_sample(self, y: torch.Tensor, t: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """y_t for Y and e of shape (B, 1, h, h, h)."""
        alpha, sigma = self.alpha_sigma(t)
        return alpha * y + sigma * noise

    def target(self, y: torch.Tensor, t: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """The training target of the network."""
        if self.prediction == "epsilon":
            return noise
        if self.prediction == "sample":
            return y
        alpha, sigma = self.alpha_sigma(t)
        return alpha * noise - sigma * y

    def predict_x0(self, output: torch.Tensor, y_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """The estimate of Y from the network's output at y_t."""
        if self.prediction == "sample":
            return output
        alpha, sigma = self.alpha_sigma(t)
        if self.prediction == "epsilon":
            return (y_t - sigma * output) / alpha
        return alpha * y_t - sigma * output

    def timesteps(self, count: int, start: float = 1.0) -> list[int]:
        """``count`` evenly spaced times from ``start * (T - 1)`` towards 0, exclusive. Duplicates
        are removed, so there may be fewer."""
        if count < 1:
            raise ValueError(f"at least one step is needed, got {count}")
        first = round(start * (self.steps - 1))
        return list(dict.fromkeys(torch.linspace(first, 0, count + 1)[:-1].round().long().tolist()))


def ddim(
    diffusion: GaussianDiffusion,
    denoise: Denoiser,
    x: torch.Tensor,
    timesteps: list[int],
    *,
    eta: float = 0.0,
    generator: torch.Generator | None = None,
    on_step: OnStep | None = None,
) -> torch.Tensor:
    """DDIM (Song et al. 2021, eq. 12); eta = 1 is ancestral sampling over the given times."""

    def step(
        x_t: torch.Tensor, x0_hat: torch.Tensor, t: torch.Tensor, n: torch.Tensor
    ) -> torch.Tensor:
        alpha, sigma = diffusion.alpha_sigma(t)
        alpha_n, sigma_n = diffusion.alpha_sigma(n)
        noise = (x_t - alpha * x0_hat) / sigma
        added = eta * (sigma_n / sigma) * (1 - (alpha / alpha_n) ** 2).clamp_min(0).sqrt()
        x_n = alpha_n * x0_hat + (sigma_n**2 - added**2).clamp_min(0).sqrt() * noise
        if eta > 0:
            x_n = x_n + added * noise_like(x_t, generator)
        return x_n

    return sample_loop(denoise, x, timesteps, step, on_step)


def dpmpp_2m(
    diffusion: GaussianDiffusion,
    denoise: Denoiser,
    x: torch.Tensor,
    timesteps: list[int],
    *,
    eta: float = 0.0,
    generator: torch.Generator | None = None,
    on_step: OnStep | None = None,
) -> torch.Tensor:
    """DPM-Solver++(2M) (Lu et al. 2022, algorithm 2): second order, deterministic.

    With l = log(alpha / sigma) and h = l_n - l_t, the estimate is extrapolated from the last two:
    D = (1 + 1 / 2r) x0_hat - (1 / 2r) x0_hat_previous, r = h_previous / h, then
    x_n = (sigma_n / sigma) x_t + alpha_n (1 - exp(-h)) D.
    """
    if eta:
        raise ValueError("dpmpp_2m is deterministic: eta must be 0; ddim samples stochastically")
    previous: tuple[torch.Tensor, torch.Tensor] | None = None  # (x0_hat, h)

    def step(
        x_t: torch.Tensor, x0_hat: torch.Tensor, t: torch.Tensor, n: torch.Tensor
    ) -> torch.Tensor:
        nonlocal previous
        alpha, sigma = diffusion.alpha_sigma(t)
        alpha_n, sigma_n = diffusion.alpha_sigma(n)
        h = (alpha_n / sigma_n).log() - (alpha / sigma).log()
        extrapolated = x0_hat
        if previous is not None:
            r = previous[1] / h
            extrapolated = x0_hat + (x0_hat - previous[0]) / (2 * r)
        previous = (x0_hat, h)
        return (sigma_n / sigma) * x_t - alpha_n * torch.expm1(-h) * extrapolated

    return sample_loop(denoise, x, timesteps, step, on_step)


def sampler(name: str) -> Callable[..., torch.Tensor]:
    """The sampler with the given name, one of :data:`SAMPLERS`."""
    if name not in SAMPLERS:
        raise ValueError(f"the sampler must be one of {SAMPLERS}, got {name!r}")
    return {"ddim": ddim, "dpmpp_2m": dpmpp_2m}[name]
