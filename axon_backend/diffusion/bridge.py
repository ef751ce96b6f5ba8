"""The Brownian bridge between a CT and what the encoder makes of its X-ray (paper, section 3.1).

With m_t rising from 0 to 1 and d_t = 2 s (m_t - m_t^2):

    x_t = (1 - m_t) Y + m_t F(x) + sqrt(d_t) e,      e ~ N(0, I)            (paper, eq. 2)

Objectives, what the network f is asked for:

* ``grad``:  x_t - Y = m_t (F(x) - Y) + sqrt(d_t) e. This is eq. 3 with its sign slip mended.
* ``ysubx``: F(x) - Y.
* ``noise``: e.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

OBJECTIVES = ("grad", "ysubx", "noise")
# denoise(x_t, t) -> estimate of Y; t is a (B,) integer tensor.
Denoiser = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
# on_step(done, total, estimate) is called after every step; it may raise Cancelled.
OnStep = Callable[[int, int, torch.Tensor], None]


@dataclass(frozen=True)
class BrownianBridge:
    """The bridge's schedule and its algebra.

    Attributes:
        steps: T.
        variance: s, the variance factor; the largest variance, in the middle, is s / 2.
        objective: one of :data:`OBJECTIVES`.
    """

    steps: int = 1000
    variance: float = 0.1
    objective: str = "grad"

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise ValueError(f"objective must be one of {OBJECTIVES}, got {self.objective!r}")

    def m(self, t: torch.Tensor) -> torch.Tensor:
        """m_t as (B, 1, 1, 1, 1); t in [0, T - 1] maps to [0.001, 0.999]."""
        m = 0.001 + 0.998 * t.float() / (self.steps - 1)
        return m.reshape(-1, 1, 1, 1, 1)

    def d(self, t: torch.Tensor) -> torch.Tensor:
        """The variance d_t as (B, 1, 1, 1, 1)."""
        m = self.m(t)
        return 2.0 * self.variance * (m - m * m)

    def diffuse(
        self, y: torch.Tensor, end: torch.Tensor, t: torch.Tensor, noise: torch.Tensor
    ) -> torch.Tensor:
        """x_t of eq. 2 for Y (B, 1, h, h, h), F(x) and e of the same shape."""
        m = self.m(t)
        return (1 - m) * y + m * end + self.d(t).sqrt() * noise

    def target(
        self, y: torch.Tensor, end: torch.Tensor, t: torch.Tensor, noise: torch.Tensor
    ) -> torch.Tensor:
        """What the network is trained to return."""
        if self.objective == "ysubx":
            return end - y
        if self.objective == "noise":
            return noise
        return self.diffuse(y, end, t, noise) - y

    def estimate(
        self, output: torch.Tensor, x_t: torch.Tensor, end: torch.Tensor, t: torch.Tensor
    ) -> torch.Tensor:
        """The network's estimate of Y from its output."""
        if self.objective == "ysubx":
            return end - output
        if self.objective == "noise":
            m = self.m(t)
            return (x_t - m * end - self.d(t).sqrt() * output) / (1 - m)
        return x_t - output

    def schedule(self, count: int) -> list[int]:
        """``count`` time steps from T - 1 to 0, evenly spaced (1 step: only T - 1)."""
        if count < 1:
            raise ValueError(f"at least one step is needed, got {count}")
        if count == 1:
            return [self.steps - 1]
        return torch.linspace(self.steps - 1, 0, count).round().long().tolist()

    def sample(
        self,
        denoise: Denoiser,
        end: torch.Tensor,
        count: int,
        *,
        eta: float = 1.0,
        generator: torch.Generator | None = None,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        """Walk the bridge back from F(x) in ``count`` evaluations of the network.

        With x^ the estimate of Y at t, and n the next time,

            s2 = eta^2 (d_t - d_n (1 - m_t)^2 / (1 - m_n)^2) d_n / d_t
            x_n = (1 - m_n) x^ + m_n F + sqrt((d_n - s2) / d_t) (x_t - (1 - m_t) x^ - m_t F)
                  + sqrt(s2) z

        eta inside the root keeps the variance at d_n for every eta (the published rule, which
        scales only z, shrinks it), and the walk starts at F + sqrt(d_T) z rather than at F, so
        that eta = 0 is deterministic after its seed instead of noise-free.

        Args:
            denoise: estimate of Y from (x_t, t).
            end: F(x), (B, 1, h, h, h).
            count: evaluations; 1 returns the estimate at t = T.
            eta: 1 ancestral, 0 deterministic after the start.
            generator: source of all noise, on the CPU so that a seed means the same everywhere.
            on_step: progress and cancelling.

        Returns:
            The sample, (B, 1, h, h, h), not clipped.
        """

        def gauss() -> torch.Tensor:
            return torch.randn(end.shape, generator=generator).to(end)

        times = self.schedule(count)
        t = torch.full((end.shape[0],), times[0], device=end.device)
        x = end + self.d(t).sqrt() * gauss()
        for i, now in enumerate(times):
            t = torch.full_like(t, now)
            guess = denoise(x, t)
            if on_step is not None:
                on_step(i + 1, count, guess)
            if i + 1 == count:
                return guess
            n = torch.full_like(t, times[i + 1])
            m_t, m_n, d_t, d_n = self.m(t), self.m(n), self.d(t), self.d(n)
            s2 = eta**2 * (d_t - d_n * ((1 - m_t) / (1 - m_n)) ** 2) * d_n / d_t
            residual = x - (1 - m_t) * guess - m_t * end
            x = (1 - m_n) * guess + m_n * end + ((d_n - s2) / d_t).sqrt() * residual
            if eta > 0:
                x = x + s2.sqrt() * gauss()
        raise AssertionError("unreachable: the last step returns")
