"""The Beer-Lambert law for a poly-energetic beam.

With path lengths ``L_m`` in g/cm^2 of each material, a photon of energy E is transmitted with
probability ``T(E) = exp(-sum_m (mu/rho)_m(E) L_m)``. A detector of quantum efficiency ``eta`` that
integrates the deposited energy e measures, relative to the open beam::

    first moment   M1 = sum_E N eta e T / sum_E N eta e
    second moment  M2 = sum_E N eta e^2 T / (e_mean sum_E N eta e)

where ``e_mean = sum N eta e / sum N eta``. M1 is the image. M2 / Q is its quantum variance, where
Q is the number of quanta detected in a pixel of the open beam (compound Poisson process: the
variance of a sum of energies is the sum of their squares).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from axon_backend.physics.detector import Detector
from axon_backend.physics.materials import mass_attenuation
from axon_backend.physics.spectrum import Spectrum

# Pixels computed at a time: energies times pixels must fit into the CPU cache.
_PIXELS = 8192


@dataclass(frozen=True)
class Beam:
    """A spectrum weighted by a detector's response.

    Attributes:
        energy_kev: (n,).
        signal: (n,) fraction of the open beam's signal at each energy; sums to 1.
        energy_ratio: (n,) deposited energy over its mean ``e_mean``.
        counted: quanta detected per mm^2, in the units of the spectrum.
    """

    energy_kev: np.ndarray
    signal: np.ndarray
    energy_ratio: np.ndarray
    counted: float

    @classmethod
    def of(cls, spectrum: Spectrum, detector: Detector | None, *, bin_kev: int = 2) -> Beam:
        """Weight a spectrum with a detector's response; None is an ideal energy integrator.

        Energies are merged into bins of ``bin_kev``, at their signal-weighted mean.
        """
        energy = spectrum.energy_kev
        caught = np.ones_like(energy) if detector is None else detector.efficiency(energy)
        deposit = energy if detector is None else detector.deposit_kev(energy)
        quanta = spectrum.photons * caught
        signal = quanta * deposit
        mean = signal.sum() / quanta.sum()
        group = (energy - energy[0]).astype(int) // bin_kev
        total = np.bincount(group, signal)
        keep = total > 0
        with np.errstate(invalid="ignore"):
            joined = (np.bincount(group, signal * energy) / total)[keep]
            ratio = (np.bincount(group, signal * deposit) / total)[keep] / mean
        return cls(joined, total[keep] / signal.sum(), ratio, float(quanta.sum()))

    @property
    def excess(self) -> float:
        """M2 of the open beam: 1 for a single energy, otherwise larger."""
        return float(self.signal @ self.energy_ratio)

    def mean_kev(self, names: Sequence[str] = (), paths: Sequence[float] = ()) -> float:
        """Signal-weighted mean energy behind path lengths in g/cm^2 of some materials."""
        load = sum(
            mass_attenuation(name, self.energy_kev) * path
            for name, path in zip(names, paths, strict=True)
        )
        left = self.signal * np.exp(-load)
        return float(left @ self.energy_kev / left.sum())


def transmission(
    paths: torch.Tensor, names: Sequence[str], beam: Beam
) -> tuple[torch.Tensor, torch.Tensor]:
    """First and second moments of the signal (see the module), each of shape (...).

    Without attenuation the first is 1 and the second :attr:`Beam.excess`.

    Args:
        paths: (materials, ...) path lengths in g/cm^2.
        names: of the materials, in this order.
        beam: from :meth:`Beam.of`.

    Differentiable with respect to ``paths``.
    """
    attenuation = np.stack([mass_attenuation(name, beam.energy_kev) for name in names], 1)
    mu = torch.as_tensor(attenuation, dtype=paths.dtype, device=paths.device)  # (E, M)
    weights = np.stack([beam.signal, beam.signal * beam.energy_ratio])
    both = torch.as_tensor(weights, dtype=paths.dtype, device=paths.device)  # (2, E)
    flat = paths.reshape(len(names), -1)
    size = _PIXELS if paths.device.type == "cpu" else 64 * _PIXELS
    pieces = [both @ torch.exp(-(mu @ part)) for part in flat.split(size, dim=1)]
    moments = torch.cat(pieces, dim=1).reshape(2, *paths.shape[1:])
    return moments[0], moments[1]
