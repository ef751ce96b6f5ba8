"""Parts of AXON's losses: voxel weights, edges, conditioning augmentation, times."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from axon_backend.diffusion.bridge import BrownianBridge
from axon_backend.imaging.frame import HuWindow
from axon_backend.methods.axon.config import AxonLoss
from axon_backend.methods.batch import Draws
from axon_backend.metrics.bone_contrast import around, bone_contrast, bone_share

# Smallest denominator of the loss, so that a chest with hardly any bone does not dominate it.
LOWEST_CONTRAST_HU = 50.0


def voxel_weights(target: torch.Tensor, window: HuWindow, bone: float) -> torch.Tensor:
    """Weight of each voxel of a CT in a loss.

    The surroundings of bone have the same weight as bone, so that the mean of both is preserved:
    if only bone were weighted, everything that might be bone would become brighter.

    Args:
        target: (B, 1, D, D, D) CTs in [-1, 1].
        window: the HU that are mapped to -1 and 1.
        bone: weight of bone and of everything within two voxels of it
            (``metrics.bone_contrast``), in addition to the 1 of every voxel.

    Returns:
        (B, 1, D, D, D), from 1 to ``1 + bone``.
    """
    if not bone:
        return torch.ones_like(target)
    return 1 + bone * around(bone_share(window.to_hu(target)))


def bone_contrast_loss(
    output: torch.Tensor, target: torch.Tensor, window: HuWindow
) -> torch.Tensor:
    """Squared relative error of the contrast of bone (``metrics.bone_contrast``), mean over the
    batch.

    An estimate with the least squared error has only a part of the contrast of a rib whose position
    is uncertain. As the contrast is linear in the volume, this term adds to each place in
    proportion to how much it is expected to be bone, which costs the least error for what it adds.

    Args:
        output, target: (B, 1, D, D, D) estimates and CTs in [-1, 1].
        window: the HU that are mapped to -1 and 1.
    """
    hu = window.to_hu(target.float())
    of_ct = bone_contrast(hu, hu)
    missing = of_ct - bone_contrast(window.to_hu(output.float()), hu)
    return (missing / of_ct.clamp_min(LOWEST_CONTRAST_HU)).square().mean()


def edge_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean absolute error of the forward differences along the three axes (the paper mentions an
    edge loss in Table 4 without a formula)."""
    error = output - target
    return torch.stack([error.diff(dim=axis).abs().mean() for axis in (2, 3, 4)]).mean()


def bridge_times(draws: Draws, bridge: BrownianBridge, loss: AxonLoss) -> torch.Tensor:
    """(B,) training times of a bridge, see :class:`AxonLoss`."""
    end = bridge.steps - 1
    if loss.t_geometric:
        t = bridge.geometric_times(draws.t)
    else:
        t = (end * draws.t ** (1.0 / loss.t_power)).round().long()
    return torch.where(draws.t_end < loss.p_t_end, torch.full_like(t, end), t)


def corrupt_condition(
    volume: torch.Tensor, generators: list[torch.Generator], strengths: list[float]
) -> torch.Tensor:
    """Conditioning augmentation (Ho et al. 2022): smooth random shifts and grey-level errors.

    An earlier stage performs better on training patients than on others, and a later stage trained
    on its unchanged outputs would rely on them too much; this adds errors like those on unseen
    patients. Strength 1: shifts of about one voxel at 64^3, grey-level errors of about 0.06 in
    [-1, 1].

    Args:
        volume: (B, 1, n, n, n).
        generators, strengths: one per sample.
    """
    if not any(strengths):
        return volume
    b, _, n = volume.shape[:3]
    total = torch.zeros(b, 4, n, n, n, device=volume.device)
    # Drawn on two coarse grids and upsampled: errors at the scale of organs, and of their edges.
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
