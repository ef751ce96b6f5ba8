"""Contrast of bone against the soft tissue around it: a metric, and a term of a loss.

Ribs fill few voxels, so that a volume that minimises the squared error may all but leave them out.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

# HU from which a voxel begins to count as bone, and from which it counts fully.
BONE_RAMP_HU = (100.0, 300.0)
# Bone is compared with soft tissue between these HU, up to this number of voxels away.
SOFT_HU = (-150.0, 150.0)
REACH = 2
# Local means over fewer voxels of soft tissue, as a share of a cube, are left out.
FEWEST = 0.02


def bone_share(hu: torch.Tensor) -> torch.Tensor:
    """How far each voxel counts as bone, from 0 to 1 (:data:`BONE_RAMP_HU`)."""
    low, high = BONE_RAMP_HU
    return ((hu - low) / (high - low)).clamp(0, 1)


def around(share: torch.Tensor) -> torch.Tensor:
    """The largest of the values within :data:`REACH` voxels, (B, 1, D, D, D)."""
    return _along_axes(F.max_pool3d, share)


def bone_contrast(volume: torch.Tensor, ct_hu: torch.Tensor) -> torch.Tensor:
    """Contrast of a volume where the CT has bone.

    The mean over the CT's bone less the mean over soft tissue next to it, both after the local mean
    of soft tissue (a cube of five voxels) has been subtracted: broad shading does not count. It is
    linear in ``volume``, differentiable, and in the same unit.

    Args:
        volume: (B, 1, D, D, D).
        ct_hu: (B, 1, D, D, D) the CT in HU.

    Returns:
        (B,); 0 where the CT has no bone.
    """
    soft = ((ct_hu > SOFT_HU[0]) & (ct_hu < SOFT_HU[1])).to(volume)
    bone = bone_share(ct_hu).to(volume)
    amount = _local_mean(soft)
    known = (amount > FEWEST).to(volume)
    bone, near = bone * known, (around(bone) > 0.5) * soft * known
    detail = volume - _local_mean(volume * soft) / amount.clamp_min(FEWEST)
    return _mean(detail, bone) - _mean(detail, near)


def _along_axes(pool: Callable[..., torch.Tensor], values: torch.Tensor) -> torch.Tensor:
    """A separable pooling over cubes, one axis after the other."""
    for axis in range(3):
        size, padding = [1, 1, 1], [0, 0, 0]
        size[axis], padding[axis] = 2 * REACH + 1, REACH
        values = pool(values, tuple(size), 1, tuple(padding))
    return values


def _local_mean(values: torch.Tensor) -> torch.Tensor:
    """Means over cubes; zero outside the volume."""
    return _along_axes(F.avg_pool3d, values)


def _mean(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(B,) weighted means; 0 where all weights are 0."""
    return (values * weights).flatten(1).sum(1) / weights.flatten(1).sum(1).clamp_min(1)
