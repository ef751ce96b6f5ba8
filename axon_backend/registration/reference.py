"""The DRR of a CT or the atlas that an X-ray is registered to."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from axon_backend.imaging.ct import CTVolume
from axon_backend.imaging.frame import ThoraxFrame
from axon_backend.imaging.view import View
from axon_backend.physics.drr import render_drr
from axon_backend.physics.pose import Pose
from axon_backend.registration.planar import check_image, whole_image_placement
from axon_backend.registration.resample import resample_image


@dataclass(frozen=True)
class Reference:
    """The DRR that an X-ray is compared with, on a square field with square pixels, so that the
    proportions of the frame do not distort a similarity.

    Attributes:
        image: (N, N) DRR of the square field.
        to_square: (3, 3), canonical [0, 1]^2 -> the square field's [0, 1]^2.
    """

    image: np.ndarray
    to_square: np.ndarray

    @classmethod
    def from_ct(
        cls, ct: CTVolume, frame: ThoraxFrame, view: View, pose: Pose | None, size: int
    ) -> Reference:
        canonical = (pose or Pose()).geometry(frame, view)
        width, height = canonical.extent_mm
        side = max(width, height)
        square = replace(canonical, extent_mm=(side, side))
        image = render_drr(ct, square, size).numpy()
        check_image(
            image, "The reference's DRR (does the frame lie in the CT, and the CT in the beam?)"
        )
        sx, sy = width / side, height / side
        return cls(image, np.array([[sx, 0, 0.5 - 0.5 * sx], [0, sy, 0.5 - 0.5 * sy], [0, 0, 1]]))

    def shown(self, size: int) -> np.ndarray:
        """(size, size) DRR on the canonical grid."""
        to_pixels = whole_image_placement(self.image).matrix
        return resample_image(self.image, to_pixels @ self.to_square, size)[0]
