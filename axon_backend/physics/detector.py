"""The detector: caesium iodide on amorphous silicon, energy-integrating.

A photon of energy E that interacts deposits ``E mu_tr / mu`` in the scintillator, and the signal is
the sum of these energies. Fluorescence of CsI (28 to 35 keV) counts as absorbed locally.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from axon_backend.physics.materials import mass_attenuation

# Photons per mm^2 and microgray of the beam RQA5 (IEC 62220-1, table 2).
RQA5_PHOTONS = 30174.0
# The pixel size that the electronic noise refers to.
NATIVE_PIXEL_MM = 0.15


@dataclass(frozen=True)
class Detector:
    """Detector parameters.

    Attributes:
        csi_mg_cm2: mass per area of caesium iodide; 170 to 200 for 500 to 600 um of needles at a
            packing density of three quarters.
        mtf50_per_mm: spatial frequency at which the scintillator's MTF is one half; 1.2 to 1.4 per
            mm for CsI (Samei, Flynn, Medical Physics 30 (2003) 608). The curve is
            ``1 / (1 + (f / f50)^2)``.
        electronic_quanta: standard deviation of the read-out noise of a 0.15 mm pixel, in
            detected quanta; about 2 (1500 electrons, 800 electrons a quantum).
        focal_spot_mm: size of the tube's focal spot; at most 1.3 by the European guidelines on
            quality criteria (EUR 16260).
    """

    csi_mg_cm2: float = 180.0
    mtf50_per_mm: float = 1.3
    electronic_quanta: float = 2.0
    focal_spot_mm: float = 1.0

    def efficiency(self, energy_kev: np.ndarray) -> np.ndarray:
        """Fraction of the photons of each energy that interact."""
        layer = self.csi_mg_cm2 / 1000
        return 1 - np.exp(-mass_attenuation("csi", energy_kev) * layer)

    def deposit_kev(self, energy_kev: np.ndarray) -> np.ndarray:
        """Mean energy that an interacting photon deposits."""
        transfer = mass_attenuation("csi", energy_kev, transfer=True)
        return energy_kev * transfer / mass_attenuation("csi", energy_kev)


def blurred(
    image: torch.Tensor,
    pixel_mm: tuple[float, float],
    *,
    mtf50_per_mm: float | None = None,
    shadow_mm: float | None = None,
) -> torch.Tensor:
    """Blur an image; the mean is preserved, boundaries are mirrored.

    Args:
        image: (H, W), in any unit.
        pixel_mm: (row, column) at the detector.
        mtf50_per_mm: MTF parameter of the scintillator, which also blurs quantum noise. None: no
            such blur.
        shadow_mm: side of the focal spot's image on the detector, ``spot (M - 1)`` for an object at
            the isocentre. This blur includes the average over the pixel's area, since rendering
            samples points; neither blurs noise. None: no such blur.

    Returns:
        (H, W).
    """
    height, width = image.shape
    # Extent of the blur: ten e-folding lengths of the Lorentzian's point spread function.
    far = (shadow_mm or 0.0) if mtf50_per_mm is None else 10 / (2 * np.pi * mtf50_per_mm)
    pad = [
        min(n - 1, int(np.ceil(far / mm)) + 2)
        for n, mm in zip((height, width), pixel_mm, strict=True)
    ]
    sides = (pad[1], pad[1], pad[0], pad[0])
    wide = F.pad(image[None, None], sides, mode="reflect")[0, 0]
    kind = {"dtype": image.dtype, "device": image.device}
    fy = torch.fft.fftfreq(wide.shape[0], pixel_mm[0], **kind)[:, None]
    fx = torch.fft.rfftfreq(wide.shape[1], pixel_mm[1], **kind)[None, :]
    mtf = torch.ones_like(fx)
    if mtf50_per_mm is not None:
        mtf = 1 / (1 + (fx**2 + fy**2) / mtf50_per_mm**2)
    if shadow_mm is not None:
        for frequency, mm in ((fy, pixel_mm[0]), (fx, pixel_mm[1])):
            mtf = mtf * torch.sinc(frequency * mm) * torch.sinc(frequency * shadow_mm)
    seen = torch.fft.irfft2(torch.fft.rfft2(wide) * mtf, s=wide.shape)
    return seen[pad[0] : pad[0] + height, pad[1] : pad[1] + width]
