"""Test-time augmentation: a volume as the mean over small shifts of the X-rays.

The output of a network trained on few patients changes slightly when its X-rays are shifted by a
voxel, although the anatomy does not. So the X-rays are shifted, and the volumes are shifted back
and averaged, which averages out random errors. Published results on test-time augmentation are for
classification and segmentation; the gain here is given in the model card.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F

from axon_backend.methods.protocol import RegisteredViews
from axon_backend.physics.geometry import FIELD_OF_VIEW

# Every second corner of a cube around the centre: the four shifts of one voxel along each axis that
# are furthest from one another. (z, y, x) in voxels of the volume.
CORNERS = ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))
# {number of shifts: the shifts}.
SHIFTS = {1: ((0, 0, 0),), len(CORNERS): CORNERS}

Voxels = tuple[int, int, int]


def _shifted(view: torch.Tensor, right: float, down: float) -> torch.Tensor:
    """Shift the content by shares of the image's width and height; the border is replicated."""
    move = torch.tensor([[[1.0, 0.0, -2 * right], [0.0, 1.0, -2 * down]]], device=view.device)
    at = F.affine_grid(move, list(view.shape), align_corners=False)
    return F.grid_sample(view.float(), at, padding_mode="border", align_corners=False).to(view)


def shifted_views(views: RegisteredViews, voxels: Voxels, size: int) -> RegisteredViews:
    """The X-rays of the patient shifted by ``voxels`` (z, y, x) of a volume of side ``size``.

    A view shows ``FIELD_OF_VIEW`` times the frame. The effect of the shift along the beam, a
    quarter of a per cent of magnification, is neglected.
    """
    up, back, left = (v / (FIELD_OF_VIEW * size) for v in voxels)
    lateral = None if views.lateral is None else _shifted(views.lateral, back, -up)
    frontal = _shifted(views.frontal, left, -up)
    return replace(views, frontal=frontal, lateral=lateral)


class ShiftedBackMean:
    """The mean of volumes (..., D, D, D), each shifted back by as many voxels as its X-rays were.

    Near the border, it is the mean of the volumes that contain the voxel. A voxel in a corner that
    none contains gets its neighbour's value.
    """

    def __init__(self) -> None:
        self._sum: torch.Tensor | float = 0.0
        self._weight: torch.Tensor | float = 0.0

    def add(self, volume: torch.Tensor, voxels: Voxels) -> None:
        """Add the volume of X-rays that were shifted by ``voxels`` (z, y, x)."""
        weight = torch.ones_like(volume)
        for axis, v in zip((-3, -2, -1), voxels, strict=True):
            n = volume.shape[axis]
            at = torch.arange(v, n + v, device=volume.device)
            inside = at.clamp(0, n - 1)
            volume = volume.index_select(axis, inside)
            shape = [n if i == axis else 1 for i in (-3, -2, -1)]
            weight = weight * torch.where(at == inside, 1.0, 1e-3).view(shape)
        self._sum = self._sum + weight * volume
        self._weight = self._weight + weight

    def mean(self) -> torch.Tensor:
        """The mean of the volumes added, at least one."""
        assert isinstance(self._sum, torch.Tensor), "nothing was added"
        return self._sum / self._weight
