"""Attenuation of materials as a function of photon energy, from tables.

Sources and licences of the tables: ``tables/README.md``.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

_TABLES = Path(__file__).parent / "tables"
LOWEST_KEV, HIGHEST_KEV = 10, 150


@dataclass(frozen=True)
class Material:
    """A material by its elements.

    Attributes:
        name: as in the table.
        density: g/cm^3.
        composition: mass fraction of each element; they sum to 1.
        source: where density and composition come from.
    """

    name: str
    density: float
    composition: tuple[tuple[str, float], ...]
    source: str


@cache
def material(name: str) -> Material:
    """A material of the table by its name; ``KeyError`` for an unknown one."""
    with open(_TABLES / "materials.csv", newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            if row["name"] == name:
                words = row["composition"].split()
                parts = tuple(zip(words[::2], map(float, words[1::2]), strict=True))
                return Material(name, float(row["density_g_cm3"]), parts, row["source"])
    raise KeyError(name)


@cache
def _elements() -> dict[str, np.ndarray]:
    path = _TABLES / "mass_attenuation.csv"
    with open(path, newline="", encoding="utf-8") as stream:
        names = next(csv.reader(stream))
        values = np.array([[float(v) for v in row] for row in csv.reader(stream)])
    return dict(zip(names, values.T, strict=True))


def mass_attenuation(name: str, energy_kev: np.ndarray, *, transfer: bool = False) -> np.ndarray:
    """Mass attenuation in cm^2/g of a material, the sum over its elements by mass.

    Args:
        name: of the material, as in the table.
        energy_kev: any shape, 10 to 150 keV; log-log interpolation of the table's 1 keV steps.
        transfer: the mass energy-transfer coefficient instead, for deposited energy.

    Raises:
        ValueError: an energy is outside the table.
    """
    energy = np.asarray(energy_kev, dtype=np.float64)
    if energy.size and not (energy.min() >= LOWEST_KEV and energy.max() <= HIGHEST_KEV):
        raise ValueError(
            f"attenuation is known from {LOWEST_KEV} to {HIGHEST_KEV} keV, got "
            f"{energy.min():g} to {energy.max():g} keV"
        )
    table = _elements()
    ending = "_tr" if transfer else ""
    total = sum(share * table[element + ending] for element, share in material(name).composition)
    return np.exp(np.interp(np.log(energy), np.log(table["keV"]), np.log(total)))


def attenuation_per_cm(name: str, energy_kev: np.ndarray) -> np.ndarray:
    """Linear attenuation in 1/cm at the material's own density."""
    return material(name).density * mass_attenuation(name, energy_kev)
