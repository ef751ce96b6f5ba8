"""The eight orientations of an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_TURNS = (
    "",
    "rotated by 90 degrees clockwise",
    "rotated by 180 degrees",
    "rotated by 90 degrees counter-clockwise",
)


@dataclass(frozen=True)
class Turn:
    """The change that makes an image upright: ``quarters`` rotations by 90 degrees
    counter-clockwise (as ``np.rot90``), then mirroring left/right if ``mirrored``."""

    quarters: int = 0
    mirrored: bool = False

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """The reoriented image, (H, W)."""
        turned = np.rot90(pixels, self.quarters)
        return np.ascontiguousarray(turned[:, ::-1] if self.mirrored else turned)

    def pixel_mm(self, size: tuple[float, float] | None) -> tuple[float, float] | None:
        """(row, column) pixel size of the reoriented image."""
        return size if size is None or self.quarters % 2 == 0 else (size[1], size[0])

    def words(self, frontal: bool) -> str:
        """The name of the orientation of an image that needs this turn, such as ``upside down``."""
        if not self.mirrored:
            return _TURNS[self.quarters]
        if self.quarters == 2:  # mirrored and rotated by 180 degrees; the others have no usual name
            return "upside down"
        if self.quarters:
            return f"mirrored and {_TURNS[self.quarters]}"
        sides = "left and right" if frontal else "front and back"
        return f"mirrored ({sides} exchanged)"


def reoriented(image: np.ndarray, turn: Turn) -> np.ndarray:
    """The image (..., H, W) that would need ``turn`` to become ``image``."""
    copy = image[..., ::-1] if turn.mirrored else image
    return np.rot90(copy, -turn.quarters, (-2, -1))


TURNS = tuple(Turn(quarters, mirrored) for mirrored in (False, True) for quarters in range(4))
