"""The spectrum of a tungsten X-ray tube.

Bremsstrahlung: electrons of energy ``E0 = kVp`` slow down in the anode by the law of Thomson and
Whiddington, ``T^2 = E0^2 - C x`` with the mass depth x, and radiate at every energy T on the way;
radiation from depth x leaves the anode through ``x / tan(a)`` of tungsten, a being the angle
between the ray and the anode's surface. As in Tucker, Barnes, Chakraborty (Medical Physics 18
(1991) 211)::

    N(E) = k kVp^q / E  int_E^E0  B(E/T) (T + m c^2) exp(-mu_W(E) (E0^2 - T^2) / (C tan a)) dT

Characteristic radiation: four K lines with intensity ``k' (kVp / 69.5 - 1)^n`` from a mean depth
that is a multiple of the range. Filters and air follow by Beer and Lambert.

The constants (B, C, k, q, k', n) are fitted to spectra of spekpy (G. Poludniowski and others,
Medical Physics 48 (2021) 3630) by ``Resources/Tables/tube_constants.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from axon_backend.errors import AxonInputError
from axon_backend.physics.materials import LOWEST_KEV, attenuation_per_cm, mass_attenuation

KVP = (40.0, 150.0)
ELECTRON_KEV, K_EDGE_KEV = 510.999, 69.525
B_CONSTANTS = (1.0, 1.27579, -4.35874, 3.24993)  # B(u), rising powers of u = E / T
C_CONSTANTS = (0.130361e6, 1.394730e6)  # keV^2 cm^2/g: C = c0 + c1 kVp / 100
OUTPUT, OUTPUT_POWER = np.exp(9.33192), -0.414477  # photons / (cm^2 keV mAs) at 1 m
K_OUTPUT, K_POWER, K_DEPTH = np.exp(18.29212), 1.760978, 3.069127
K_LINES_KEV, K_SHARES = (58, 59, 67, 69), (0.28075, 0.49775, 0.17503, 0.04647)
MICROGRAY_CM2 = 1.602177e-16 * 1e3 * 1e6  # keV/g in microgray

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)


@dataclass(frozen=True)
class Spectrum:
    """Photon fluence by energy.

    Attributes:
        energy_kev: (n,) increasing.
        photons: (n,) per mm^2 in the bin around each energy; of a tube, per mAs at 1 m.
    """

    energy_kev: np.ndarray
    photons: np.ndarray

    @property
    def mean_kev(self) -> float:
        """Mean energy of the photons."""
        return float(self.photons @ self.energy_kev / self.photons.sum())

    @property
    def air_kerma(self) -> float:
        """Air kerma in microgray."""
        transfer = mass_attenuation("air", self.energy_kev, transfer=True)
        return float((100 * self.photons * self.energy_kev) @ transfer * MICROGRAY_CM2)

    def filtered(self, name: str, thickness_mm: float) -> Spectrum:
        """The spectrum behind a layer of a material."""
        path = attenuation_per_cm(name, self.energy_kev) * thickness_mm / 10
        return replace(self, photons=self.photons * np.exp(-path))

    @classmethod
    def mono(cls, energy_kev: float) -> Spectrum:
        """One photon per mm^2 at a single energy."""
        return cls(np.array([float(energy_kev)]), np.array([1.0]))


@dataclass(frozen=True)
class Tube:
    """A tungsten-anode tube and its filtration.

    Attributes:
        kvp: peak voltage, kV (DICOM KVP), 40 to 150.
        al_mm: total filtration, inherent and added, in mm of aluminium.
        cu_mm: added copper, mm.
        anode_deg: angle between the anode's surface and the central ray.

    Raises:
        AxonInputError: a value is out of range.
    """

    kvp: float = 120.0
    al_mm: float = 3.0
    cu_mm: float = 0.1
    anode_deg: float = 12.0

    def __post_init__(self) -> None:
        limits = {"kvp": KVP, "al_mm": (0.5, 40.0), "cu_mm": (0.0, 2.0), "anode_deg": (5.0, 30.0)}
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise AxonInputError(
                    f"The tube's {name} is {value:g}; it must be between {low:g} and {high:g}."
                )

    def spectrum(self, off_axis_deg: float = 0.0, air_mm: float = 1000.0) -> Spectrum:
        """Photons per mm^2 and mAs at 1 m, in bins of 1 keV.

        Args:
            off_axis_deg: angle between the ray and the central ray, positive towards the cathode,
                where the ray leaves the anode more steeply.
            air_mm: length of air along the way.
        """
        energy = np.arange(LOWEST_KEV, int(np.ceil(self.kvp)), dtype=np.float64)
        photons = np.zeros_like(energy)
        cotangent = 1 / np.tan(np.radians(max(self.anode_deg + off_axis_deg, 0.5)))
        c = C_CONSTANTS[0] + C_CONSTANTS[1] * self.kvp / 100
        tungsten = mass_attenuation("tungsten", energy)
        span = self.kvp - energy
        t = energy[:, None] + span[:, None] * (_NODES + 1) / 2
        u = energy[:, None] / t
        b = sum(constant * u**n for n, constant in enumerate(B_CONSTANTS))
        out = np.exp(-tungsten[:, None] * (self.kvp**2 - t**2) / c * cotangent)
        photons = (b * (t + ELECTRON_KEV) * out) @ _WEIGHTS / 2 * span / energy
        photons *= OUTPUT * (self.kvp / 100) ** OUTPUT_POWER
        if self.kvp > K_EDGE_KEV + 0.5:
            depth = K_DEPTH * (self.kvp**2 - K_EDGE_KEV**2) / c
            output = K_OUTPUT * (self.kvp / K_EDGE_KEV - 1) ** K_POWER
            for line, share in zip(K_LINES_KEV, K_SHARES, strict=True):
                i = int(line - LOWEST_KEV)
                photons[i] += output * share * np.exp(-tungsten[i] * depth * cotangent)
        raw = Spectrum(energy, photons / 100)
        for name, thickness in (("aluminium", self.al_mm), ("copper", self.cu_mm), ("air", air_mm)):
            raw = raw.filtered(name, thickness)
        return raw
