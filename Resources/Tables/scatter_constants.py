"""Follow photons through water: where the constants of ``axon_backend/physics/scatter.py`` come
from.

    pip install xraydb
    python Resources/Tables/scatter_constants.py

A pencil beam enters a slab of water. Photons are absorbed (by weight) or scatter by Compton
(Klein-Nishina, free electrons; coherent scattering counts as going straight on). Those that leave
the far side fly on over a gap to a layer of CsI of 0.2 g/cm^2 that integrates energy. Printed
for each energy, thickness and gap: scattered over primary energy in circles of some radii, and from
the fitted formulas; by reciprocity that is the ratio in the middle of a field of that radius.
"""

from __future__ import annotations

import numpy as np
import xraydb

from axon_backend.physics.materials import mass_attenuation
from axon_backend.physics.scatter import scatter_fraction, spot_height_mm

KEV = np.arange(10.0, 151.0)
WATER = (("H", 0.111894), ("O", 0.888106))
COMPTON, PHOTO = (
    sum(w * xraydb.mu_elam(e, KEV * 1000, kind=kind) for e, w in WATER)
    for kind in ("incoh", "photo")
)
CSI = mass_attenuation("csi", KEV, transfer=True)
PHOTONS, RADII_CM = 400_000, (5, 10, 17, 22)


def absorbed(energy: np.ndarray, cosine: np.ndarray) -> np.ndarray:
    path = 0.2 / np.maximum(cosine, 0.05)
    return energy * (1 - np.exp(-np.interp(energy, KEV, CSI) * path))


def scattered_cosine(energy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Klein-Nishina by rejection."""
    cosine, todo = np.empty(len(energy)), np.arange(len(energy))
    while len(todo):
        x = rng.uniform(-1, 1, len(todo))
        k = 1 / (1 + energy[todo] / 510.999 * (1 - x))
        taken = rng.random(len(todo)) < k**2 * (k + 1 / k - 1 + x**2) / 2
        cosine[todo[taken]] = x[taken]
        todo = todo[~taken]
    return cosine


def turned(d: np.ndarray, cosine: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    side = np.where(np.abs(d[:, 2:]) < 0.9, [[0.0, 0, 1]], [[1.0, 0, 0]])
    u = np.cross(side, d)
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    v = np.cross(d, u)
    turn = rng.uniform(0, 2 * np.pi, len(d))
    sine = np.sqrt(1 - cosine**2)[:, None]
    return d * cosine[:, None] + sine * (np.cos(turn)[:, None] * u + np.sin(turn)[:, None] * v)


def follow(kev: float, thick: float, rng: np.random.Generator) -> np.ndarray:
    """(n, 7) of photons that scattered and left: x, y, direction, energy, weight."""
    n = PHOTONS
    place, way = np.zeros((n, 3)), np.tile([0.0, 0, 1], (n, 1))
    energy, weight, turns = np.full(n, kev), np.ones(n), np.zeros(n, int)
    left = []
    while len(energy):
        rate = np.interp(energy, KEV, COMPTON + PHOTO)
        place = place + way * (-np.log(rng.random(len(energy))) / rate)[:, None]
        out = place[:, 2] > thick
        seen = out & (turns > 0)
        back = ((place[seen, 2] - thick) / way[seen, 2])[:, None]
        at = place[seen] - way[seen] * back
        left.append(np.column_stack([at[:, :2], way[seen], energy[seen], weight[seen]]))
        keep = ~out & (place[:, 2] > 0) & (np.hypot(place[:, 0], place[:, 1]) < 60)
        weight = weight * np.interp(energy, KEV, COMPTON / (COMPTON + PHOTO))
        roulette = weight < 0.05
        keep &= ~roulette | (rng.random(len(weight)) < 0.5)
        weight = np.where(roulette, 2 * weight, weight)
        place, way, energy, weight, turns = (a[keep] for a in (place, way, energy, weight, turns))
        cosine = scattered_cosine(energy, rng)
        energy = np.maximum(energy / (1 + energy / 510.999 * (1 - cosine)), 10.0)
        way, turns = turned(way, cosine, rng), turns + 1
    return np.concatenate(left)


def main() -> None:
    rng = np.random.default_rng(0)
    print("keV  cm gap", *(f"  r={r} followed/formula" for r in RADII_CM))
    for kev in (50.0, 65.0, 80.0):
        rate = np.interp(kev, KEV, COMPTON + PHOTO)
        for thick in (5.0, 10.0, 15.0, 20.0, 25.0):
            found = follow(kev, thick, rng)
            primary = PHOTONS * np.exp(-rate * thick) * absorbed(np.array([kev]), np.ones(1))[0]
            signal = found[:, 6] * absorbed(found[:, 5], found[:, 4]) / primary
            total = scatter_fraction(rate * thick, kev)
            for gap in (0.0, 5.0, 10.0, 20.0, 30.0):
                radius = np.hypot(*(found[:, :2] + found[:, 2:4] / found[:, 4:5] * gap).T)
                h = spot_height_mm(10 * thick, 10 * gap) / 10
                pairs = [(signal[radius < r].sum(), total * r**2 / (r**2 + h**2)) for r in RADII_CM]
                print(
                    f"{kev:3.0f} {thick:3.0f} {gap:3.0f}", *(f"{a:8.2f}/{b:.2f}" for a, b in pairs)
                )


if __name__ == "__main__":
    main()
