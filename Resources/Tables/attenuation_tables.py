"""Make the table of mass attenuation that ``axon_backend/physics/tables`` holds.

    pip install xraydb
    python Resources/Tables/attenuation_tables.py

AXON itself does not need xraydb. Source and licence stand in ``tables/README.md``.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import xraydb

TABLES = Path(__file__).resolve().parents[2] / "axon_backend" / "physics" / "tables"
ENERGIES_KEV = np.arange(10, 151)
# Of tissues, air, filters, anode, detector, grid and implants.
ELEMENTS = (
    *("H", "Be", "C", "N", "O", "Na", "Mg", "Al", "Si", "P", "S"),
    *("Cl", "Ar", "K", "Ca", "Ti", "Fe", "Cu", "I", "Cs", "W", "Pb"),
)
ELECTRON_KEV = 510.999


def compton_share(energy_kev: np.ndarray) -> np.ndarray:
    """Mean part of the photon's energy that Compton scattering gives to a free electron.

    The Klein-Nishina cross-section, weighted with the electron's energy, over all angles.
    """
    cosine, weight = np.polynomial.legendre.leggauss(64)
    a = energy_kev[:, None] / ELECTRON_KEV
    left = 1 / (1 + a * (1 - cosine))  # energy after over energy before
    cross = left**2 * (left + 1 / left - (1 - cosine**2))
    return ((1 - left) * cross) @ weight / (cross @ weight)


def main() -> None:
    share = compton_share(ENERGIES_KEV.astype(float))
    columns = []
    for element in ELEMENTS:
        parts = {
            kind: xraydb.mu_elam(element, ENERGIES_KEV * 1000.0, kind=kind)
            for kind in ("total", "photo", "incoh")
        }
        columns += [parts["total"], parts["photo"] + share * parts["incoh"]]
    with open(TABLES / "mass_attenuation.csv", "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["keV", *(f"{e}{kind}" for e in ELEMENTS for kind in ("", "_tr"))])
        for row, energy in enumerate(ENERGIES_KEV):
            writer.writerow([energy, *(f"{column[row]:.5g}" for column in columns)])


if __name__ == "__main__":
    main()
