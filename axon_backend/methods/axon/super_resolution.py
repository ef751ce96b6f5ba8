"""Stage 3: SR-Net on the last volume (paper, section 3.3)."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F

from axon_backend.methods.axon.config import AxonConfig
from axon_backend.methods.axon.stage import StageModule
from axon_backend.networks.precision import Precision
from axon_backend.networks.srnet import SRNet


class SuperResolution(StageModule):
    """SR-Net and how it is run.

    Args:
        config: the model's configuration.
        precision: the model's precision.
    """

    def __init__(self, config: AxonConfig, precision: Precision) -> None:
        super().__init__(config, precision)
        self.network = SRNet(config.sr)

    def run(self, volume: torch.Tensor, slab: int | None = None) -> torch.Tensor:
        """Increase the resolution of a volume.

        Args:
            volume: (B, 1, h, h, h) in normalised HU.
            slab: slices processed at a time, if memory is short.

        Returns:
            (B, 1, g h, g h, g h), clipped to [-1, 1]; without the local means that
            ``Sampling.sr_scale`` removes.
        """
        scale = self.config.sampling.sr_scale
        with self.autocast():
            fine = self.network(volume, slab)
        if scale:
            enlarge = partial(
                F.interpolate, size=fine.shape[2:], mode="trilinear", align_corners=False
            )
            fine = fine - enlarge(F.avg_pool3d(fine - enlarge(volume).to(fine), scale))
        return fine.clamp(-1, 1)
