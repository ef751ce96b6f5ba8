"""Tissue decomposition of a CT: fractions of each tissue in each voxel, from its HU.

A CT value lies between those of two tissues, and the voxel is taken as a mixture of the two: air
and lung, lung and fat, fat and soft tissue, soft tissue and mineral bone. Up the HU scale, each
transition blends one tissue into the next, so that the fractions sum to 1.

The density follows from the CT value and the fractions. A CT scanner measured
``mu = mu_water (1 + HU / 1000)`` at its effective energy (taken as 70 keV, that of about 120 kV);
the voxel's density is the one at which its mixture attenuates accordingly::

    rho = mu_water(70) (1 + HU / 1000) / sum_m w_m (mu/rho)_m(70)

At 70 keV the tissues therefore reproduce the CT, and a mono-energetic radiograph at 70 keV equals
that of ``hu_to_mu``, whatever the decomposition. At other energies the calcium of bone matters.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from axon_backend.physics.materials import attenuation_per_cm, mass_attenuation

CT_KEV = 70.0
AIR_TISSUE = "air"
TISSUES = ("lung", "fat", "soft", "bone")  # with a path length; that of air is negligible

# (from, to, smoothness) in HU of the transition from one tissue to the next.
# Air to lung: emphysema begins below about -950 HU. Lung to fat: partial-volume voxels at the lung
# boundary count as lung, fat is -120 to -60 HU. Fat to soft: blood and muscle are 30 to 70 HU.
# Soft to bone: cortical bone of ICRU 44 is 1.92 g/cm^3, 1610 HU at 70 keV; marrow ends at 100 HU.
_TO_LUNG = (-990.0, -930.0, 20.0)
_TO_FAT = (-300.0, -160.0, 60.0)
_TO_SOFT = (-60.0, 20.0, 40.0)
_TO_BONE = (80.0, 1590.0, 60.0)
# Blood with 5 % iodine by mass has 1470 HU at 70 keV. Only metal reaches 3000 HU.
_TO_IODINE = (40.0, 1440.0, 60.0)
_TO_METAL = (2900.0, 3100.0, 100.0)


def ramp(x: torch.Tensor, low: float, high: float, smooth: float) -> torch.Tensor:
    """0 below ``low``, 1 above ``high + smooth``, linear in between, with smooth ends.

    The slope rises from 0 over ``smooth`` and falls back over ``smooth``: continuously
    differentiable.
    """

    def bend(t: torch.Tensor) -> torch.Tensor:
        """The integral of a slope that goes from 0 to 1 between 0 and ``smooth``."""
        inside = t.clamp(0.0, smooth)
        return inside * inside / (2 * smooth) + (t - smooth).clamp_min(0.0)

    return (bend(x - low) - bend(x - high)) / (high - low)


def tissue_shares(
    hu: torch.Tensor, *, iodine: torch.Tensor | None = None, metal: bool = False
) -> dict[str, torch.Tensor]:
    """The mass fraction of each tissue in each voxel.

    Args:
        hu: any shape.
        iodine: same shape, in [0, 1]: where voxels brighter than soft tissue are contrast medium
            and not bone (vessels and heart chambers of an enhanced CT). None: nowhere.
        metal: whether voxels of 3000 HU and more are metal; otherwise they are bone.

    Returns:
        air, lung, fat, soft, bone, and iodine and metal where requested; each in [0, 1] and of the
        shape of ``hu``; they sum to 1.
    """
    lung, fat = ramp(hu, *_TO_LUNG), ramp(hu, *_TO_FAT)
    soft, bone = ramp(hu, *_TO_SOFT), ramp(hu, *_TO_BONE)
    # The mixture is by volume; the mass fraction of bone is higher (1.92 versus 1.06 g/cm^3).
    bone = bone * 1.92 / (bone * 1.92 + (1 - bone) * 1.06)
    shares = {AIR_TISSUE: 1 - lung, "lung": lung - fat, "fat": fat - soft}
    if iodine is not None:
        enhanced = iodine.to(hu) * ramp(hu, *_TO_IODINE)
        bone = (1 - iodine.to(hu)) * bone
        shares["iodine"] = enhanced
    else:
        enhanced = torch.zeros_like(bone)
    shares["soft"] = soft - bone - enhanced
    shares["bone"] = bone
    if metal:
        share = ramp(hu, *_TO_METAL)
        shares = {name: (1 - share) * part for name, part in shares.items()}
        shares["metal"] = share
    return shares


@cache
def _at_ct(name: str) -> float:
    return float(mass_attenuation(name, np.array(CT_KEV)))


def mass_density(hu: torch.Tensor, shares: dict[str, torch.Tensor]) -> torch.Tensor:
    """Density in g/cm^3 from the CT value and the mixture (see the module), clipped at 0."""
    water = float(attenuation_per_cm("water", np.array(CT_KEV)))
    mixture = sum(share * _at_ct(name) for name, share in shares.items())
    return (1 + hu / 1000.0).clamp_min(0.0) * water / mixture


def tissue_densities(
    hu: torch.Tensor,
    *,
    iodine: torch.Tensor | None = None,
    metal: bool = False,
    slices: int = 16,
) -> tuple[tuple[str, ...], torch.Tensor]:
    """Partial densities of a CT, which are projected for a poly-energetic radiograph.

    Args:
        hu: (Z, Y, X) float32.
        iodine, metal: as in :func:`tissue_shares`.
        slices: number converted at a time, which limits memory.

    Returns:
        Names, and (materials, Z, Y, X) the partial density of each tissue in g/cm^3. Line integrals
        are in g/cm^2 when lengths are in centimetres. Air is left out: all of it between tube and
        detector removes 4 % of the beam, equally for every pixel.
    """
    names = (*TISSUES, *(("iodine",) if iodine is not None else ()), *(("metal",) if metal else ()))
    parts = []
    for first in range(0, hu.shape[0], slices):
        piece = hu[first : first + slices]
        mask = None if iodine is None else iodine[first : first + slices]
        shares = tissue_shares(piece, iodine=mask, metal=metal)
        density = mass_density(piece, shares)
        parts.append(torch.stack([density * shares[name] for name in names]))
    return names, torch.cat(parts, dim=1)
