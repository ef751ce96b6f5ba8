"""The Brownian bridge between a CT Y and the encoder's output F(x) (paper, section 3.1).

With alpha_t rising from 0 to 1 and delta_t = 2 s (alpha_t - alpha_t^2):

    x_t = (1 - alpha_t) Y + alpha_t x_T + sqrt(delta_t) e,   x_T = F(x), e ~ N(0, I)   (eq. 2)

Objectives, the quantity that the network f predicts:

* ``grad``:  x_t - Y = alpha_t (x_T - Y) + sqrt(delta_t) e, which is eq. 3 with its sign corrected.
* ``ysubx``: x_T - Y.
* ``noise``: e.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from axon_backend.diffusion.estimate_error import EstimateError
from axon_backend.diffusion.sampling import Denoiser, OnStep, noise_like, sample_loop

OBJECTIVES = ("grad", "ysubx", "noise")
# 1 - alpha_t at t = T - 1, and alpha_t at t = 0.
FIRST = 0.001


@dataclass(frozen=True)
class BrownianBridge:
    """The bridge's schedule and its algebra.

    Attributes:
        steps: T.
        variance: s, the variance factor; the largest variance, in the middle, is s / 2.
        objective: one of :data:`OBJECTIVES`.
        geometric_to: sampling times at which 1 - alpha_t is a geometric progression from 0.001 to
            this value; 0: evenly spaced times down to 0 (the paper). x_t tells about Y in
            proportion to (1 - alpha_t) / alpha_t, which evenly spaced times carry over two of its
            three decades in their first step. Below 1, the last estimate is made before x_t is
            more exact than a network trained mostly at late times.
    """

    steps: int = 1000
    variance: float = 0.1
    objective: str = "grad"
    geometric_to: float = 0.0

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise ValueError(f"objective must be one of {OBJECTIVES}, got {self.objective!r}")
        if self.geometric_to and not FIRST < self.geometric_to <= 1 - FIRST:
            raise ValueError(
                f"geometric_to must be 0 or in ({FIRST}, {1 - FIRST}], got {self.geometric_to:g}"
            )

    def alpha_t(self, t: torch.Tensor) -> torch.Tensor:
        """alpha_t as (B, 1, 1, 1, 1); t in [0, T - 1] maps to [0.001, 0.999]."""
        alpha_t = FIRST + (1 - 2 * FIRST) * t.float() / (self.steps - 1)
        return alpha_t.reshape(-1, 1, 1, 1, 1)

    def delta_t(self, t: torch.Tensor) -> torch.Tensor:
        """The variance delta_t as (B, 1, 1, 1, 1)."""
        alpha_t = self.alpha_t(t)
        return 2.0 * self.variance * (alpha_t - alpha_t * alpha_t)

    def q_sample(
        self, y: torch.Tensor, x_T: torch.Tensor, t: torch.Tensor, noise: torch.Tensor
    ) -> torch.Tensor:
        """x_t of eq. 2 for Y (B, 1, h, h, h), and x_T and e of the same shape."""
        alpha_t = self.alpha_t(t)
        return (1 - alpha_t) * y + alpha_t * x_T + self.delta_t(t).sqrt() * noise

    def target(
        self, y: torch.Tensor, x_T: torch.Tensor, t: torch.Tensor, noise: torch.Tensor
    ) -> torch.Tensor:
        """The training target of the network."""
        if self.objective == "ysubx":
            return x_T - y
        if self.objective == "noise":
            return noise
        return self.q_sample(y, x_T, t, noise) - y

    def predict_x0(
        self, output: torch.Tensor, x_t: torch.Tensor, x_T: torch.Tensor, t: torch.Tensor
    ) -> torch.Tensor:
        """The estimate of Y from the network's output."""
        if self.objective == "ysubx":
            return x_T - output
        if self.objective == "noise":
            alpha_t = self.alpha_t(t)
            return (x_t - alpha_t * x_T - self.delta_t(t).sqrt() * output) / (1 - alpha_t)
        return x_t - output

    def geometric_times(self, u: torch.Tensor) -> torch.Tensor:
        """The times, int64, at which the logarithm of 1 - alpha_t is linear in u: 1 - alpha_t is
        0.001 at u = 0 and, at u = 1, :attr:`geometric_to` or, if that is 0, 0.999."""
        return self.times_at(FIRST * ((self.geometric_to or 1 - FIRST) / FIRST) ** u)

    def times_at(self, rest: torch.Tensor) -> torch.Tensor:
        """The times, int64, at which 1 - alpha_t is nearest to ``rest``."""
        return ((self.steps - 1) * (1 - (rest - FIRST) / (1 - 2 * FIRST))).round().long()

    def timesteps(self, count: int) -> list[int]:
        """``count`` decreasing time steps from T - 1 (1 step: only T - 1), evenly spaced down to 0
        or as :attr:`geometric_to` says. Geometric times that would coincide, as the first ones of
        many do, are one apart."""
        if count < 1:
            raise ValueError(f"at least one step is needed, got {count}")
        if count == 1:
            return [self.steps - 1]
        if not self.geometric_to:
            return torch.linspace(self.steps - 1, 0, count).round().long().tolist()
        times = self.geometric_times(torch.linspace(0, 1, count)).tolist()
        for i in range(1, count):
            times[i] = max(0, min(times[i], times[i - 1] - 1))
        return times

    def sample(
        self,
        denoise: Denoiser,
        x_T: torch.Tensor,
        count: int,
        *,
        eta: float = 1.0,
        error: EstimateError | None = None,
        generator: torch.Generator | None = None,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        """Sample the bridge backwards from x_T = F(x) in ``count`` evaluations of the network.

        With x0_hat the estimate of Y at t, and n the next time,

            s2 = eta^2 (delta_t - delta_n (1 - alpha_t)^2 / (1 - alpha_n)^2) delta_n / delta_t
            x_n = (1 - alpha_n) x0_hat + alpha_n x_T
                  + sqrt((delta_n - s2) / delta_t) (x_t - (1 - alpha_t) x0_hat - alpha_t x_T)
                  + sqrt(s2) z

        With eta inside the root, the variance is delta_n for every eta (the published rule, which
        scales only z, reduces it). Sampling starts at x_T + sqrt(delta_T) z rather than at x_T,
        so that with eta = 0 only the start is random. With the measured ``error`` of the estimates,
        x_n also gets noise of the covariance that the estimate in place of Y leaves out, see
        ``diffusion.estimate_error``.

        Args:
            denoise: estimate of Y from (x_t, t).
            x_T: (B, 1, h, h, h).
            count: evaluations; 1 returns the estimate at t = T.
            eta: 1 is ancestral, 0 is deterministic after the start.
            error: error of the estimates; None or not measured: left out.
            generator: source of all noise, on the CPU so that a seed gives the same noise for any
                device.
            on_step: called after every step, for progress and cancellation.

        Returns:
            The sample, (B, 1, h, h, h), not clipped.
        """

        def gauss() -> torch.Tensor:
            return noise_like(x_T, generator)

        def step(
            x_t: torch.Tensor, x0_hat: torch.Tensor, t: torch.Tensor, n: torch.Tensor
        ) -> torch.Tensor:
            alpha_t, alpha_n = self.alpha_t(t), self.alpha_t(n)
            delta_t, delta_n = self.delta_t(t), self.delta_t(n)
            s2 = delta_t - delta_n * ((1 - alpha_t) / (1 - alpha_n)) ** 2
            s2 = eta**2 * s2 * delta_n / delta_t
            residual = x_t - (1 - alpha_t) * x0_hat - alpha_t * x_T
            kept = ((delta_n - s2) / delta_t).sqrt()
            x_n = (1 - alpha_n) * x0_hat + alpha_n * x_T + kept * residual
            if eta > 0 and error:
                weight = (1 - alpha_n) - kept * (1 - alpha_t)
                deviation = weight.abs() * error.variance(alpha_t).sqrt()
                x_n = x_n + deviation * error.draw(x0_hat, generator)
            return x_n + s2.sqrt() * gauss() if eta > 0 else x_n

        timesteps = self.timesteps(count)
        t = torch.full((x_T.shape[0],), timesteps[0], device=x_T.device)
        start = x_T + self.delta_t(t).sqrt() * gauss()
        return sample_loop(denoise, start, timesteps, step, on_step)
