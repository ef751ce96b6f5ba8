"""What the user sets: how an X-ray is moved by hand, and how a volume is made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Motion:
    """A shift of an X-ray over the DRR, turned and scaled about the centre of the field.

    Attributes:
        right_mm, up_mm: to the viewer's right, and upwards, in millimetres of the reference.
        rotation_deg: clockwise as displayed.
        scale_percent: 100 leaves the size.
    """

    right_mm: float = 0.0
    up_mm: float = 0.0
    rotation_deg: float = 0.0
    scale_percent: float = 100.0

    def matrix(self, extent_mm: tuple[float, float]) -> np.ndarray:
        """(3, 3), maps a point (x, y) of the view in [0, 1]^2, y downwards, to where it moves.

        Args:
            extent_mm: width and height of the field of view.
        """
        width, height = extent_mm
        to_mm = np.array([[width, 0, -width / 2], [0, height, -height / 2], [0, 0, 1.0]])
        angle, scale = np.radians(self.rotation_deg), self.scale_percent / 100
        c, s = scale * np.cos(angle), scale * np.sin(angle)
        moved = np.array([[c, -s, self.right_mm], [s, c, -self.up_mm], [0, 0, 1.0]])
        found: np.ndarray = np.linalg.inv(to_mm) @ moved @ to_mm
        return found


@dataclass(frozen=True)
class RunSettings:
    """How *Reconstruct* runs; see ``inference.reconstruct``."""

    stages: tuple[str, ...] | None = None
    steps: tuple[int, ...] | None = None
    seed: int = 0
    samples: int = 1
