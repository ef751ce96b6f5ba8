"""Result of a volume reader, before the volume is checked and reoriented to the body axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RawVolume:
    """A volume as its file stores it.

    Attributes:
        voxels: ``[..., k, j, i]``, with the channels as an additional last axis if ``channels`` >
            1.
        affine: (4, 4), (i, j, k, 1) to LPS millimetres; a flat image lies in the axial plane.
        channels: values per voxel.
        notes: what was assumed, in plain sentences.
        label: name for messages; empty: the file's name.
    """

    voxels: np.ndarray
    affine: np.ndarray
    channels: int = 1
    notes: tuple[str, ...] = ()
    label: str = ""

    @property
    def size(self) -> tuple[int, ...]:
        """(i, j, k, ...) without channels."""
        shape = self.voxels.shape[:-1] if self.channels > 1 else self.voxels.shape
        return tuple(int(n) for n in shape[::-1])

    @property
    def spacing(self) -> tuple[float, float, float]:
        """(i, j, k) in mm."""
        steps = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(steps[0]), float(steps[1]), float(steps[2])
