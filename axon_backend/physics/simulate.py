"""Poly-energetic radiographs of a CT; ``drr.render_drr`` gives mono-energetic line integrals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from axon_backend.imaging.ct import CTVolume
from axon_backend.physics.attenuation import AttenuationVolume
from axon_backend.physics.drr import render_drr
from axon_backend.physics.exposure import Exposures, XraySettings, expose
from axon_backend.physics.geometry import AcquisitionGeometry
from axon_backend.physics.tissues import tissue_densities


class XraySimulator:
    """Poly-energetic radiographs of one CT.

    Args:
        ct: in HU.
        device: device to compute on.
        iodine: (Z, Y, X) in [0, 1], 1 where a high CT value is contrast medium, see ``tissues``.
        metal: whether voxels of 3000 HU and more are metal.

    The densities of the tissues are kept in memory: four float32 volumes of the size of the CT.
    """

    def __init__(
        self,
        ct: CTVolume,
        device: str | torch.device = "cpu",
        *,
        iodine: np.ndarray | None = None,
        metal: bool = False,
    ) -> None:
        hu = torch.as_tensor(np.asarray(ct.hu, dtype=np.float32), device=device)
        mask = None if iodine is None else torch.as_tensor(iodine, dtype=hu.dtype, device=device)
        with torch.no_grad():
            self.names, densities = tissue_densities(hu, iodine=mask, metal=metal)
        self.densities = AttenuationVolume(densities, ct.spacing_mm, ct.origin_mm)

    def paths(
        self, geometries: Sequence[AcquisitionGeometry], size: int | tuple[int, int]
    ) -> torch.Tensor:
        """(views, materials, height, width) path lengths in g/cm^2."""
        return torch.stack([render_drr(self.densities, g, size) for g in geometries]) / 10

    def take(
        self,
        geometries: Sequence[AcquisitionGeometry],
        size: int | tuple[int, int] = 1024,
        settings: XraySettings | Sequence[XraySettings] | None = None,
        *,
        seeds: Sequence[int] = (0,),
    ) -> Exposures:
        """Expose radiographs under one or several geometries, see :func:`exposure.expose`."""
        with torch.inference_mode():
            return expose(self.paths(geometries, size), self.names, geometries, settings,
                          seeds=seeds)  # fmt: skip
