"""A DRR that follows a hand on a slider."""

from __future__ import annotations

import numpy as np
import torch

from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.imaging.view import View
from axon_backend.physics.pose import Pose
from axon_backend.physics.reduced import AttenuationGrid

# Voxels along the longest side of the reduced volume, 3 to 5 mm: ribs stay visible, and a picture
# takes a tenth of what the full volume needs.
FAST_VOXELS = 96


class LiveDrr:
    """Radiographs of one CT in any pose, one view.

    The reduced attenuation is kept ready. The full one is made anew for each full picture, which
    costs a fraction of rendering it and spares the memory of a second CT.

    Args:
        ct: the CT, or the atlas.
        frame: its thorax frame; poses turn about its centre.
        view: the projection.
        device: where to compute.
    """

    def __init__(
        self,
        ct: CTVolume,
        frame: ThoraxFrame,
        view: View,
        device: str | torch.device = "cpu",
    ) -> None:
        self.ct, self.frame, self.view = ct, frame, View(view)
        self.device = torch.device(device)
        self.coarse = AttenuationGrid.of_ct(ct, self.device).reduced(FAST_VOXELS)

    def render(self, pose: Pose | None = None, size: int = 256, fast: bool = False) -> np.ndarray:
        """The canonical view of the posed patient.

        Args:
            pose: None is the CT as it lies, at the canonical distance.
            size: side in pixels.
            fast: from the reduced volume, for pictures in motion.

        Returns:
            (size, size) float32 line integrals on the canonical grid, bright = more attenuation.
        """
        geometry = (pose or Pose()).geometry(self.frame, self.view)
        with torch.inference_mode():
            grid = self.coarse if fast else AttenuationGrid.of_ct(self.ct, self.device)
            picture = grid.project(geometry, size)
        return picture.cpu().numpy()
