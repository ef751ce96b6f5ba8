"""Fit the constants of ``axon_backend/physics/spectrum.py`` to spectra of spekpy.

    pip install spekpy
    python Resources/Tables/tube_constants.py

Prints the constants; 50 to 150 kV, anodes of 8, 12 and 16 degrees, 2.5 mm of aluminium. AXON itself
does not need spekpy (MIT licence).
"""

from __future__ import annotations

import numpy as np
import spekpy
from scipy.optimize import least_squares

from axon_backend.physics.materials import attenuation_per_cm, mass_attenuation
from axon_backend.physics.spectrum import ELECTRON_KEV, K_EDGE_KEV, K_LINES_KEV

ENERGY = np.arange(10, 151, dtype=float)
FILTER = np.exp(-attenuation_per_cm("aluminium", ENERGY) * 0.25)
TUNGSTEN = mass_attenuation("tungsten", ENERGY)
CASES = [(kvp, angle) for kvp in range(50, 151, 10) for angle in (8, 12, 16)]
NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)
LINE_BINS = ((57.4, 58.5), (58.5, 60.0), (66.0, 68.0), (68.5, 69.8))


def reference(kvp: int, angle: int, lines: bool, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Energies and photons / (cm^2 keV mAs) at 1 m."""
    tube = spekpy.Spek(kvp=kvp, th=angle, physics="casim", dk=step, char=lines)
    return tube.filter("Al", 2.5).get_spectrum(edges=False)


def bremsstrahlung(kvp: int, angle: int, p: np.ndarray) -> np.ndarray:
    b1, b2, b3, c0, c1, output, power = p
    below = kvp > ENERGY
    e = ENERGY[below][:, None]
    t = e + (kvp - e) * (NODES + 1) / 2
    u = e / t
    b = 1 + b1 * u + b2 * u**2 + b3 * u**3
    depth = (kvp**2 - t**2) / ((c0 + c1 * kvp / 100) * 1e6)
    out = np.exp(-TUNGSTEN[below][:, None] * depth / np.tan(np.radians(angle)))
    photons = np.zeros_like(ENERGY)
    photons[below] = ((b * (t + ELECTRON_KEV) * out) @ WEIGHTS / 2) * (kvp - e[:, 0]) / e[:, 0]
    return photons * FILTER * np.exp(output) * (kvp / 100) ** power


def main() -> None:
    known = {}
    for case in CASES:
        energy, photons = reference(*case, False, 1.0)
        known[case] = np.interp(ENERGY, energy, photons, left=0, right=0)

    def error(p: np.ndarray) -> np.ndarray:
        return np.concatenate([(bremsstrahlung(*c, p) - known[c]) / known[c].max() for c in CASES])

    fit = least_squares(error, [-1, 0, 0, 0.5, 0.4, 9.3, 0])
    print("B, C, output, power", fit.x, "rms of the peak", np.sqrt(np.mean(fit.fun**2)))
    c0, c1 = fit.x[3:5]

    lines = {}
    for kvp in (75, 80, 85, *range(90, 151, 10)):
        for angle in (8, 12, 16):
            (energy, both), (_, smooth) = (reference(kvp, angle, k, 0.5) for k in (True, False))
            extra = (both - smooth) * 0.5
            lines[kvp, angle] = [extra[(energy > a) & (energy < b)].sum() for a, b in LINE_BINS]
    rows = [k - 10 for k in K_LINES_KEV]
    bare = np.array(list(lines.values())) / FILTER[rows]
    shares = (bare / bare.sum(1, keepdims=True)).mean(0)

    def model(kvp: int, angle: int, p: np.ndarray) -> float:
        depth = p[2] * (kvp**2 - K_EDGE_KEV**2) / ((c0 + c1 * kvp / 100) * 1e6)
        out = np.exp(-TUNGSTEN[rows] * depth / np.tan(np.radians(angle)))
        return np.exp(p[0]) * (kvp / K_EDGE_KEV - 1) ** p[1] * (shares * FILTER[rows] * out).sum()

    fit = least_squares(
        lambda p: [model(*c, p) / sum(v) - 1 for c, v in lines.items()], [17, 1.6, 0.3]
    )
    print("K output (ln), power, depth", fit.x, "shares", shares)


if __name__ == "__main__":
    main()
