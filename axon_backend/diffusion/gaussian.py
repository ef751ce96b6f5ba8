"""The Gaussian diffusion of the prior (DDPM), and samplers that a few steps are enough for.

    y_t = sqrt(a_t) Y + sqrt(1 - a_t) e,   a_t = prod (1 - beta)          (Ho et al. 2020)

Every sampler is one loop over a decreasing list of times and asks for the estimate of Y only;
what the network predicts (``epsilon``, ``v``, ``sample``) is turned into it in one place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch

from axon_backend.diffusion.bridge import Denoiser, OnStep

PREDICTIONS = ("epsilon", "v", "sample")
SAMPLERS = ("ddim", "dpm")


@dataclass(frozen=True)
class GaussianDiffusion:
    """Schedule and algebra.

    Attributes:
        steps: T.
        beta_start, beta_end: MONAI's ``scaled_linear_beta`` schedule.
        prediction: what the network returns; ``v = sqrt(a) e - sqrt(1 - a) Y``
            (Salimans and Ho 2022).
    """

    steps: int = 1000
    beta_start: float = 0.0015
    beta_end: float = 0.0195
    prediction: str = "v"

    def __post_init__(self) -> None:
        if self.prediction not in PREDICTIONS:
            raise ValueError(f"prediction must be one of {PREDICTIONS}, got {self.prediction!r}")

    @cached_property
    def alphas(self) -> torch.Tensor:
        """a_t, (T,) float64."""
        from monai.networks.schedulers import DDPMScheduler

        scheduler = DDPMScheduler(
            num_train_timesteps=self.steps,
            schedule="scaled_linear_beta",
            beta_start=self.beta_start,
            beta_end=self.beta_end,
        )
        return torch.cumprod(1.0 - scheduler.betas.double(), 0)

    def roots(self, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """sqrt(a_t), sqrt(1 - a_t) as (B, 1, 1, 1, 1) float32."""
        # Looked up on the CPU: Apple GPUs have no float64.
        a = self.alphas[t.cpu()].reshape(-1, 1, 1, 1, 1)
        return a.sqrt().float().to(t.device), (1 - a).sqrt().float().to(t.device)

    def diffuse(self, y: torch.Tensor, t: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """y_t for Y and e of shape (B, 1, h, h, h)."""
        a, s = self.roots(t)
        return a * y + s * noise

    def target(self, y: torch.Tensor, t: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """What the network is trained to return."""
        if self.prediction == "epsilon":
            return noise
        if self.prediction == "sample":
            return y
        a, s = self.roots(t)
        return a * noise - s * y

    def estimate(self, output: torch.Tensor, y_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """The estimate of Y from the network's output at y_t."""
        if self.prediction == "sample":
            return output
        a, s = self.roots(t)
        if self.prediction == "epsilon":
            return (y_t - s * output) / a
        return a * y_t - s * output

    def times(self, count: int, start: float = 1.0) -> list[int]:
        """``count`` evenly spaced times from ``start * (T - 1)`` towards 0, which is not one of
        them; no time twice, so fewer where there are not that many."""
        if count < 1:
            raise ValueError(f"at least one step is needed, got {count}")
        first = round(start * (self.steps - 1))
        return list(dict.fromkeys(torch.linspace(first, 0, count + 1)[:-1].round().long().tolist()))


def ddim(
    diffusion: GaussianDiffusion,
    denoise: Denoiser,
    x: torch.Tensor,
    times: list[int],
    *,
    eta: float = 0.0,
    generator: torch.Generator | None = None,
    on_step: OnStep | None = None,
) -> torch.Tensor:
    """DDIM (Song et al. 2021, eq. 12); eta = 1 is ancestral sampling over the given times."""
    for i, now in enumerate(times):
        t = torch.full((x.shape[0],), now, device=x.device)
        guess = denoise(x, t)
        if on_step is not None:
            on_step(i + 1, len(times), guess)
        if i + 1 == len(times):
            return guess
        a, s = diffusion.roots(t)
        a_n, s_n = diffusion.roots(torch.full_like(t, times[i + 1]))
        noise = (x - a * guess) / s
        sigma = eta * (s_n / s) * (1 - (a / a_n) ** 2).clamp_min(0).sqrt()
        x = a_n * guess + (s_n**2 - sigma**2).clamp_min(0).sqrt() * noise
        if eta > 0:
            x = x + sigma * torch.randn(x.shape, generator=generator).to(x)
    raise AssertionError("unreachable: the last step returns")


def dpm(
    diffusion: GaussianDiffusion,
    denoise: Denoiser,
    x: torch.Tensor,
    times: list[int],
    *,
    eta: float = 0.0,
    generator: torch.Generator | None = None,
    on_step: OnStep | None = None,
) -> torch.Tensor:
    """DPM-Solver++(2M) (Lu et al. 2022, algorithm 2): second order, deterministic.

    With l = log(a / s) and h = l_n - l_t, the estimate is extrapolated from the last two:
    D = (1 + 1 / 2r) Y_t - (1 / 2r) Y_(t-1), r = h_previous / h, then
    x_n = (s_n / s) x + a_n (1 - exp(-h)) D.
    """
    if eta:
        raise ValueError("dpm is deterministic: eta must be 0; use ddim for stochastic sampling")
    previous: tuple[torch.Tensor, torch.Tensor] | None = None  # (estimate, h)
    for i, now in enumerate(times):
        t = torch.full((x.shape[0],), now, device=x.device)
        guess = denoise(x, t)
        if on_step is not None:
            on_step(i + 1, len(times), guess)
        if i + 1 == len(times):
            return guess
        a, s = diffusion.roots(t)
        a_n, s_n = diffusion.roots(torch.full_like(t, times[i + 1]))
        h = (a_n / s_n).log() - (a / s).log()
        blend = guess
        if previous is not None:
            r = previous[1] / h
            blend = guess + (guess - previous[0]) / (2 * r)
        x = (s_n / s) * x - a_n * torch.expm1(-h) * blend
        previous = (guess, h)
    raise AssertionError("unreachable: the last step returns")


def sampler(name: str) -> Callable[..., torch.Tensor]:
    """The sampler called ``name``, one of :data:`SAMPLERS`."""
    if name not in SAMPLERS:
        raise ValueError(f"the sampler must be one of {SAMPLERS}, got {name!r}")
    return {"ddim": ddim, "dpm": dpm}[name]
