"""The attenuation of a CT on a coarser grid, where speed counts more than fine detail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from axon_backend.imaging.ct import CTVolume
from axon_backend.physics.attenuation import hu_to_mu
from axon_backend.physics.drr import render
from axon_backend.physics.geometry import AcquisitionGeometry

# Torch shares work on more than 32768 numbers among threads, and a pixel has three coordinates. A
# small picture takes hundreds of short steps, between which threads would wait for each other
# longer than they help: on a busy machine a picture took ten times as long with two threads.
UNSHARED_PIXELS = 10_000

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class AttenuationGrid:
    """Attenuation in space.

    Attributes:
        mu: (Z, Y, X) float32, 1/mm.
        spacing_mm, origin_mm: (x, y, z) LPS; the origin is the centre of voxel (0, 0, 0).
    """

    mu: torch.Tensor
    spacing_mm: Triple
    origin_mm: Triple

    @classmethod
    def of_ct(cls, ct: CTVolume, device: str | torch.device = "cpu") -> AttenuationGrid:
        """The CT's own grid."""
        hu = torch.as_tensor(np.asarray(ct.hu, dtype=np.float32), device=device)
        return cls(hu_to_mu(hu), ct.spacing_mm, ct.origin_mm)

    def reduced(self, longest: int) -> AttenuationGrid:
        """Block means on a grid of about cubic voxels, ``longest`` of them along the longest side.

        An axis that is coarser already stays as it is. The box is the same.
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
        return AttenuationGrid(mu, spacing, origin)  # type: ignore[arg-type]

    def project(self, geometry: AcquisitionGeometry, size: int | tuple[int, int]) -> torch.Tensor:
        """(height, width) line integrals of one exposure."""
        rows = max(1, UNSHARED_PIXELS // (size if isinstance(size, int) else size[1]))
        volume = (self.mu, self.origin_mm, self.spacing_mm)
        return render(*volume, [geometry], size, rows_per_chunk=rows)[0]
