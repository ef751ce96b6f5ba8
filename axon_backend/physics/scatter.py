"""Scattered radiation at the detector as a blur of the primary.

A pencil beam through water of attenuation ``p = -ln(I / I0)`` gives rise to scattered energy at the
detector in proportion to its primary (the shape of Ohnesorge, Flohr, Klingenbeck-Regn, European
Radiology 9 (1999) 563, with a build-up term for multiple scattering)::

    S_total = I p (a0 + a1 p)

Its distribution: scatter leaves the exit side of the body as from a Lambertian source at an
effective height h above the detector, with the point spread ``k(r) = h^2 / (pi (r^2 + h^2)^2)``.
The scatter image is the convolution of ``I p (a0 + a1 p)`` with k. Field size, air gap and
cross-scatter from the lungs into the mediastinum follow from the convolution itself.

Constants: fitted to Monte Carlo simulations of 5 to 25 cm of water at 50, 65 and 80 keV with gaps
of 0 to 30 cm, ``Resources/Tables/scatter_constants.py``. Of the scatter-to-primary ratios above 0.3
in the centre of fields of 20 to 44 cm, half agree within 5 %, nine in ten within 13 %. In the
mediastinum of a real chest without a grid, the scatter fraction is about 90 %, as measured by
Niklason, Sorenson and Nelson (Medical Physics 8 (1981) 677).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

WATER_PER_CM = 0.19  # of water near 65 keV: converts p to a thickness
_BASE = (0.50, 0.0080)  # a0 = 0.50 + 0.0080 (E - 50 keV)
_BUILD_UP = (0.0315, 0.0055)  # a1 = 0.0315 + 0.0055 (E - 50 keV)
# The blur is wide enough for a coarse grid: source heights are 25 mm and more.
COARSE_MM = 6.0


def scatter_fraction(p: torch.Tensor, energy_kev: float) -> torch.Tensor:
    """Scattered over primary energy of a pencil beam, collected everywhere: ``p (a0 + a1 p)``.

    ``energy_kev``: mean energy of the beam in the body; constants hold from 40 to 90 keV.
    """
    above = min(max(energy_kev, 40.0), 90.0) - 50.0
    a0, a1 = _BASE[0] + _BASE[1] * above, _BUILD_UP[0] + _BUILD_UP[1] * above
    return p * (a0 + max(a1, 0.0) * p)


def spot_height_mm(thickness_mm: float, gap_mm: float) -> float:
    """Effective height of the scattering source above the detector.

    ``h = T / (1.7 + 0.048 T) + (1.1 - 0.0148 T) gap``, all in cm: a body of thickness T, its exit
    side a gap away from the detector.
    """
    t, gap = min(max(thickness_mm, 20.0), 350.0) / 10, gap_mm / 10
    return 10 * (t / (1.7 + 0.048 * t) + (1.1 - 0.0148 * t) * gap)


def lambert_spot(height_mm: float, step_mm: float, reach: int) -> torch.Tensor:
    """(2 reach + 1, 2 reach + 1) point spread of a Lambertian source on a grid, float64.

    Values are fractions of the total in each cell, truncated at the boundary of the grid, so that
    they sum to less than 1: what falls further away is lost.
    """
    fine = 4  # sub-cells: the point spread is steep near its centre
    n = (2 * reach + 1) * fine
    x = (torch.arange(n, dtype=torch.float64) + 0.5 - n / 2) * step_mm / fine
    r2 = x[:, None] ** 2 + x[None, :] ** 2
    spot = height_mm**2 / (math.pi * (r2 + height_mm**2) ** 2) * (step_mm / fine) ** 2
    return F.avg_pool2d(spot[None, None], fine)[0, 0] * fine**2


def scatter_image(
    primary: torch.Tensor,
    attenuation: torch.Tensor,
    pixel_mm: tuple[float, float],
    *,
    energy_kev: float,
    gap_mm: float,
) -> torch.Tensor:
    """Scattered energy at the detector, before any grid.

    Args:
        primary: (H, W) energy per area, 1 where the beam is open, 0 outside the collimation.
        attenuation: (H, W) ``-ln`` of the primary over the open beam at that place.
        pixel_mm: (row, column) at the detector.
        energy_kev: mean energy of the beam in the body.
        gap_mm: distance from the body's exit side to the detector.

    Returns:
        (H, W) in the units of ``primary``. Differentiable with respect to both
        images, but not through the mean thickness of the body, which sets the width.
    """
    size = primary.shape
    small = [
        max(4, min(n, round(n * mm / COARSE_MM))) for n, mm in zip(size, pixel_mm, strict=True)
    ]
    source = (primary * scatter_fraction(attenuation, energy_kev))[None, None]
    coarse = F.interpolate(source, size=small, mode="area")
    body = attenuation.detach()
    weight = (body > 0.2).to(body)
    mean = float((body * weight).sum() / weight.sum().clamp_min(1.0))
    height = spot_height_mm(10 * mean / WATER_PER_CM, gap_mm)
    # One step for both axes; they differ only by rounding.
    step = size[0] * pixel_mm[0] / small[0]
    reach = max(small)
    spot = lambert_spot(height, step, reach).to(source)
    # Linear convolution by FFT: the blur extends over the whole image.
    shape = [n + 2 * reach for n in small]
    product = torch.fft.rfft2(coarse[0, 0], s=shape) * torch.fft.rfft2(spot, s=shape)
    blurred = torch.fft.irfft2(product, s=shape)[reach : reach + small[0], reach : reach + small[1]]
    return F.interpolate(blurred[None, None], size=size, mode="bilinear", align_corners=False)[
        0, 0
    ].clamp_min(0.0)
