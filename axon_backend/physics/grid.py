"""Transmission of an anti-scatter grid.

Strips of lead of height h and width d stand on edge, focused on the tube, with interspaces of
width D; the ratio is ``r = h / D``. Primary rays run along the strips and see either lead or
interspace. Scatter arrives from all directions (Lambertian, flux proportional to the cosine) and is
attenuated by the lead and the interspace along each straight path. Thin, perfectly absorbing strips
transmit ``sqrt(1 + r^2) - r``, like an infinite slot (Hottel's crossed-strings method).
Transmissions and Bucky factor are defined as in IEC 60627.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from axon_backend.errors import AxonInputError
from axon_backend.physics.materials import attenuation_per_cm
from axon_backend.physics.spectrum import Spectrum


@dataclass(frozen=True)
class Grid:
    """A linear grid, focused on the focal spot.

    Attributes:
        ratio: height of the strips over width of the interspace; 0 means no grid.
        strips_per_cm: lines per cm.
        lead_mm: width of a strip.
        interspace: aluminium or fibre.

    Raises:
        AxonInputError: the ratio is out of range, or strips are wider than their period.
    """

    ratio: float = 12.0
    strips_per_cm: float = 40.0
    lead_mm: float = 0.036
    interspace: Literal["aluminium", "fibre"] = "aluminium"

    def __post_init__(self) -> None:
        if not (self.ratio == 0 or 2 <= self.ratio <= 20):
            raise AxonInputError(
                f"The grid ratio is {self.ratio:g}; it must be between 2 and 20, or 0 for no grid."
            )
        if not 0 < self.lead_mm < 10 / self.strips_per_cm:
            raise AxonInputError(
                f"The grid's strips are {self.lead_mm:g} mm wide at {self.strips_per_cm:g} per cm; "
                "their width must be above 0 and below their period."
            )

    @property
    def gap_share(self) -> float:
        """Fraction of the area that is interspace."""
        return 1 - self.lead_mm * self.strips_per_cm / 10

    @property
    def height_mm(self) -> float:
        """Height of the strips."""
        return self.ratio * (10 / self.strips_per_cm - self.lead_mm)

    def primary(self, spectrum: Spectrum, weight: np.ndarray | None = None) -> float:
        """Primary transmission of the signal; ``weight`` is the signal of a photon by energy."""
        if self.ratio == 0:
            return 1.0
        energy = spectrum.energy_kev
        signal = spectrum.photons * (energy if weight is None else weight)
        height = self.height_mm / 10
        between = np.exp(-attenuation_per_cm(self.interspace, energy) * height)
        through = np.exp(-attenuation_per_cm("lead", energy) * height)
        passed = self.gap_share * between + (1 - self.gap_share) * through
        return float(signal @ passed / signal.sum())

    def scatter(self, energy_kev: float) -> float:
        """Scatter transmission of the signal at that mean energy."""
        if self.ratio == 0:
            return 1.0
        energy = np.array(energy_kev)
        lead = float(attenuation_per_cm("lead", energy)) / 10
        fill = float(attenuation_per_cm(self.interspace, energy)) / 10
        # Midpoint rule in sin^2 (equal parts of a Lambertian source), in azimuth, and in the
        # position within one period where the ray enters.
        square = ((np.arange(80) + 0.5) / 80)[:, None, None]
        across = np.cos((np.arange(45) + 0.5) / 45 * np.pi / 2)[:, None]
        period = 10 / self.strips_per_cm
        enter = (np.arange(12) + 0.5) / 12 * period
        cosine = np.sqrt(1 - square)
        sideways = np.sqrt(square) * across  # direction cosine across the strips
        leave = enter + self.height_mm * sideways / cosine

        def lead_before(x: np.ndarray) -> np.ndarray:
            return np.floor(x / period) * self.lead_mm + np.minimum(x % period, self.lead_mm)

        length = self.height_mm / cosine
        inside = (lead_before(leave) - lead_before(enter)) / sideways
        return float(np.exp(-lead * inside - fill * (length - inside)).mean())


NO_GRID = Grid(ratio=0.0)
