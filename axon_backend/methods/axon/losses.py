"""What AXON's losses are made of: voxel weights, edges, conditioning augmentation, times."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from axon_backend.imaging.frame import HuWindow
from axon_backend.methods.batch import Draws

# HU from which a voxel counts as bone, and from which wholly.
BONE_HU = (100.0, 300.0)
# Voxels around bone that weigh as much as bone.
BONE_REACH = 2


def voxel_weights(target: torch.Tensor, window: HuWindow, bone: float) -> torch.Tensor:
    """What each voxel of a CT counts in a loss.

    What lies around bone weighs as much as bone itself, so that the mean of both stays what it is:
    were bone alone weighed, everything that might be bone would get brighter.

    Args:
        target: (B, 1, D, D, D) CTs in [-1, 1].
        window: the HU of -1 and 1.
        bone: weight of bone (:data:`BONE_HU`) and of all within :data:`BONE_REACH` voxels of it, on
            top of the 1 of every voxel.

    Returns:
        (B, 1, D, D, D), from 1 to ``1 + bone``.
    """
    if not bone:
        return torch.ones_like(target)
    low, high = BONE_HU
    here = ((window.to_hu(target) - low) / (high - low)).clamp(0, 1)
    return 1 + bone * F.max_pool3d(here, 2 * BONE_REACH + 1, 1, BONE_REACH)


def edge_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of the forward differences along the three axes (the paper names an
    edge loss in Table 4 and gives no formula)."""
    error = output - target
    return torch.stack([error.diff(dim=axis).abs().mean() for axis in (2, 3, 4)]).mean()


def bridge_times(draws: Draws, steps: int, power: float, p_t_end: float) -> torch.Tensor:
    """(B,) training times: ``(T - 1) u^(1 / power)``, and exactly T - 1 with probability
    ``p_t_end``."""
    t = ((steps - 1) * draws.t ** (1.0 / power)).round().long()
    return torch.where(draws.t_end < p_t_end, torch.full_like(t, steps - 1), t)


def corrupt_condition(
    volume: torch.Tensor, generators: list[torch.Generator], strengths: list[float]
) -> torch.Tensor:
    """Conditioning augmentation (Ho et al. 2022): smooth random shifts and grey-level errors.

    On training patients an earlier stage is better than it will ever be on others. A later stage
    trained on its outputs as they are would trust them too much; this adds an error of the kind
    seen on unseen patients. Strength 1: shifts of about one 64^3 voxel, grey values off by about
    0.06 of [-1, 1].

    Args:
        volume: (B, 1, n, n, n).
        generators, strengths: one for each sample.
    """
    if not any(strengths):
        return volume
    b, _, n = volume.shape[:3]
    total = torch.zeros(b, 4, n, n, n, device=volume.device)
    # Drawn on coarse grids of two sizes and enlarged: errors of organs, and of their edges.
    for cells, shift in ((4, 0.02), (10, 0.01)):
        field = torch.cat(
            [
                strength * torch.randn(1, 4, cells, cells, cells, generator=generator)
                for strength, generator in zip(strengths, generators, strict=True)
            ]
        ).to(volume.device)
        field = F.interpolate(field, size=(n,) * 3, mode="trilinear", align_corners=True)
        scale = torch.tensor([shift] * 3 + [0.04], device=volume.device)
        total += scale.reshape(1, 4, 1, 1, 1) * field
    identity = torch.eye(3, 4, device=volume.device).expand(b, 3, 4)
    base = F.affine_grid(identity, [b, 1, n, n, n], align_corners=False)
    moved = F.grid_sample(
        volume.float(),
        base + total[:, :3].permute(0, 2, 3, 4, 1),
        align_corners=False,
        padding_mode="border",
    )
    return moved + total[:, 3:]


def augmentation_strengths(draws: Draws, largest: float) -> list[float]:
    """Each sample's strength of :func:`corrupt_condition`, uniform up to ``largest``."""
    return [largest * float(u) for u in draws.augmentation]
