"""What is still unknown about Y at x_t, for samplers that take few steps.

An ancestral step from t to n with the estimate x0_hat = E[Y | x_t] in place of Y leaves out that Y
varies around it: the exact transition has the covariance ``s2 I + c^2 Cov(Y | x_t)``, with c the
weight of x0_hat in x_n. With many steps c is small; with ten, samples then differ too little. White
noise of that variance does nothing (Bao et al., Analytic-DPM, ICLR 2022, estimate its trace alone),
because the error of an estimate lies at low frequencies, where white noise has none of it. Here
Cov(Y | x_t) has the measured mean square and the measured spectrum of the errors, and is larger
where the estimate itself varies: at the borders of organs rather than inside of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F

from axon_backend.diffusion.sampling import noise_like


def radial_frequency(side: int) -> torch.Tensor:
    """(side, side, side) distance from zero frequency, in cycles per side, as of ``torch.fft``."""
    k = torch.fft.fftfreq(side) * side
    return (k[:, None, None] ** 2 + k[None, :, None] ** 2 + k[None, None, :] ** 2).sqrt()


@dataclass(frozen=True)
class EstimateError:
    """Errors of the estimates of Y, measured on patients the network was not trained on.

    Attributes:
        alpha: alpha_t at which they were measured, decreasing; empty: not measured, and samplers
            leave this term out.
        mse: mean squared error of the estimate at each of them.
        power: relative spectral density at 0, 1, 2, 4, ... cycles per side, interpolated on
            logarithmic axes; only its shape matters.
        local: a and b of the variance a + b d at a voxel, with d the local standard deviation of
            the estimate (:func:`local_deviation`); only a / b matters.
        inflation: factor on the variance, for what such a covariance leaves out.
    """

    alpha: tuple[float, ...] = ()
    mse: tuple[float, ...] = ()
    power: tuple[float, ...] = ()
    local: tuple[float, float] = (1.0, 0.0)
    inflation: float = 1.0

    def __post_init__(self) -> None:
        if len(self.alpha) != len(self.mse):
            raise ValueError(
                f"alpha and mse must have the same length, got {len(self.alpha)} and "
                f"{len(self.mse)}"
            )
        if self.alpha and len(self.power) < 2:
            raise ValueError(f"power needs at least two values, got {len(self.power)}")
        if any(not 0 < a < 1 for a in self.alpha) or list(self.alpha) != sorted(
            set(self.alpha), reverse=True
        ):
            raise ValueError(f"alpha must decrease within (0, 1), got {self.alpha}")
        if not all(v > 0 for v in (*self.mse, *self.power)) or self.inflation < 0:
            raise ValueError("mse and power must be positive, and inflation not negative")
        if min(self.local) < 0 or not max(self.local) > 0:
            raise ValueError(f"local must not be negative, nor zero both, got {self.local}")

    def __bool__(self) -> bool:
        """Whether it was measured."""
        return bool(self.alpha)

    def variance(self, alpha_t: torch.Tensor) -> torch.Tensor:
        """Variance of Y around the estimate at alpha_t, of its shape; log-linear in
        log(1 - alpha_t), constant beyond the measured range."""
        known = -np.log1p(-np.asarray(self.alpha))[::-1]
        values = np.log(np.asarray(self.mse))[::-1]
        at = -np.log1p(-alpha_t.double().cpu().numpy())
        found = self.inflation * np.exp(np.interp(at, known, values))
        return torch.as_tensor(found, dtype=alpha_t.dtype, device=alpha_t.device)

    def draw(self, x0_hat: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        """Noise of mean variance 1 with this spectrum, larger where the estimate x0_hat
        (B, C, h, h, h) varies."""
        gain = _gain(self.power, x0_hat.shape[-1]).to(x0_hat.device)
        noise = torch.fft.fftn(noise_like(x0_hat, generator).float(), dim=(-3, -2, -1))
        noise = torch.fft.ifftn(noise * gain, dim=(-3, -2, -1)).real
        variance = self.local[0] + self.local[1] * local_deviation(x0_hat.float())
        mean = variance.mean((-3, -2, -1), keepdim=True).clamp_min(1e-12)
        return (noise * (variance / mean).sqrt()).to(x0_hat.dtype)


@lru_cache(maxsize=2)
def _gain(power: tuple[float, ...], side: int) -> torch.Tensor:
    """(side, side, side) factor at each frequency that gives white noise the spectrum ``power`` and
    leaves its variance."""
    # The value at 0 has no place on a logarithmic axis: it is that of half a cycle.
    measured = np.log2([0.5, *2.0 ** np.arange(len(power) - 1)])
    at = radial_frequency(side).clamp_min(0.5).log2().numpy()
    found = np.exp(np.interp(at, measured, np.log(power)))
    return torch.as_tensor(np.sqrt(found / found.mean()), dtype=torch.float32)


def local_deviation(volume: torch.Tensor) -> torch.Tensor:
    """Standard deviation in cubes of 5 voxels around each voxel of (B, C, h, h, h)."""

    def mean(x: torch.Tensor) -> torch.Tensor:
        return F.avg_pool3d(F.pad(x, (2,) * 6, mode="replicate"), 5, 1)

    return (mean(volume.square()) - mean(volume).square()).clamp_min(0).sqrt()


def local_fit(estimates: torch.Tensor, errors: torch.Tensor) -> tuple[float, float]:
    """``EstimateError.local``: least squares of the squared errors on the local deviation of the
    estimates, (N, 1, h, h, h) both; (1, 0) if errors do not grow with it."""
    deviation = local_deviation(estimates).flatten().double()
    columns = torch.stack([torch.ones_like(deviation), deviation], 1)
    squared = errors.flatten().double().square()[:, None]
    a, b = torch.linalg.lstsq(columns, squared).solution.flatten().tolist()
    return (max(a, 0.0), b) if b > 0 else (1.0, 0.0)


def spectrum(errors: torch.Tensor) -> tuple[float, ...]:
    """``EstimateError.power`` of errors (N, h, h, h): the mean power at 0, 1, 2, 4, ... cycles per
    side, each over half an octave to both sides."""
    side = errors.shape[-1]
    k = radial_frequency(side)
    power = torch.fft.fftn(errors.double(), dim=(-3, -2, -1)).abs().square().mean(0)
    found = [float(power[0, 0, 0])]
    at = 1.0
    while at <= side / 2:
        band = (k >= at / 2**0.5) & (k < at * 2**0.5)
        found.append(float(power[band].mean()))
        at *= 2
    return tuple(found)
