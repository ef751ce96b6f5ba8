"""X-ray attenuation of a CT: Hounsfield units to 1/mm at a single energy, and a volume of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.frame import Array, ThoraxFrame

# Linear attenuation of water at 70 keV, 1/mm (NIST XCOM: 0.1948 cm^2/g at 1 g/cm^3 rounded to
# the tissue value used across the DRR literature).
MU_WATER_PER_MM = 0.0195
# Below an effective energy of about 70 keV, bone attenuates more than its HU suggests; a bone gain
# of 1 is strictly mono-energetic.
BONE_THRESHOLD_HU = 150.0

Triple = tuple[float, float, float]


def hu_to_mu(hu: Array, bone_gain: float = 1.0) -> Array:
    """HU -> linear attenuation in 1/mm: ``mu = mu_water (1 + HU / 1000)``, clipped at 0.

    ``bone_gain`` multiplies the excess over :data:`BONE_THRESHOLD_HU`, a one-parameter surrogate
    for a change of tube voltage. Accepts NumPy arrays and torch tensors of any shape.
    """
    if bone_gain != 1.0:
        hu = hu + (bone_gain - 1.0) * (hu - BONE_THRESHOLD_HU).clip(min=0.0)
    return (1.0 + hu / 1000.0).clip(min=0.0) * MU_WATER_PER_MM


@dataclass(frozen=True)
class AttenuationVolume:
    """Attenuation on a voxel grid, from which radiographs are rendered.

    Attributes:
        mu: (Z, Y, X) linear attenuation in 1/mm; or (C, Z, Y, X), several quantities on one grid,
            for example the partial density of each tissue. Rendering runs on its device.
        spacing_mm, origin_mm: (x, y, z) LPS; the origin is the centre of voxel (0, 0, 0).
    """

    mu: torch.Tensor
    spacing_mm: Triple
    origin_mm: Triple

    @classmethod
    def from_ct(cls, ct: CTVolume, device: str | torch.device = "cpu") -> AttenuationVolume:
        """A CT on its own grid, float32."""
        hu = torch.as_tensor(np.asarray(ct.hu, dtype=np.float32), device=device)
        return cls(hu_to_mu(hu), ct.spacing_mm, ct.origin_mm)

    @classmethod
    def in_frame(cls, hu: np.ndarray | torch.Tensor, frame: ThoraxFrame) -> AttenuationVolume:
        """An (N, N, N) volume in HU that fills a thorax frame, such as a reconstruction."""
        n = hu.shape[0]
        return cls(hu_to_mu(torch.as_tensor(hu)), frame.spacing_mm(n), frame.origin_mm(n))

    def downsampled(self, longest: int) -> AttenuationVolume:
        """Block means on a grid of nearly cubic voxels, ``longest`` of them along the longest side.

        Axes that are already coarser are unchanged, and so is the bounding box.
        """
        sizes = self.mu.shape[::-1]
        lengths = [n * s for n, s in zip(sizes, self.spacing_mm, strict=True)]
        voxel = max(lengths) / longest
        new = [min(n, max(1, round(e / voxel))) for n, e in zip(sizes, lengths, strict=True)]
        mu = F.interpolate(self.mu[None, None], size=new[::-1], mode="area")[0, 0]
        spacing = tuple(e / n for e, n in zip(lengths, new, strict=True))
        origin = tuple(
            o - s / 2 + t / 2
            for o, s, t in zip(self.origin_mm, self.spacing_mm, spacing, strict=True)
        )
        return AttenuationVolume(mu, spacing, origin)  # type: ignore[arg-type]
