"""What the trainers of all stages have in common."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from axon_backend.imaging.frame import HuWindow
from axon_backend.methods.axon.model import Axon
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.metrics import compute_metrics
from axon_backend.training.config import LossSettings, TrainConfig
from axon_backend.training.data.batch import DOUBT, Batch, Draws
from axon_backend.training.data.cases import Case

# HU from which a voxel counts as bone, and from which wholly.
BONE_HU = (100.0, 300.0)
# Voxels around bone that weigh as much as bone.
BONE_REACH = 2


@dataclass
class Measured:
    """A validation case: its figures, and the reconstruction (n, n, n) in [-1, 1] to be shown."""

    figures: dict[str, float]
    sample: torch.Tensor
    note: str = ""


class Stage(nn.Module):
    """A stage's loss as a module, so that gradients of several processes can be averaged.

    Args:
        model: holds the networks that the stage trains and needs, and may lack the others.
        config: of the run.
    """

    def __init__(self, model: Axon, config: TrainConfig) -> None:
        super().__init__()
        self.model, self.config = model, config

    @property
    def loss(self) -> LossSettings:
        """The settings of the loss."""
        return self.config.loss

    def networks(self) -> dict[str, nn.Module]:
        """The networks that are trained, by name."""
        return {part: getattr(self.model, part) for part in self.config.parts}

    @abstractmethod
    def forward(self, batch: Batch) -> torch.Tensor:
        """The loss of a batch, a mean over its samples."""

    @abstractmethod
    def measure(self, case: Case) -> Measured:
        """Figures of one validation case, by real sampling with a fixed seed."""

    @abstractmethod
    def score(self, figures: dict[str, float]) -> float:
        """The figure, of mean ones, that the best checkpoint has smallest."""


def draws_of(batch: Batch) -> Draws:
    """The draws of a training batch."""
    if batch.draws is None:
        raise ValueError("a training batch brings its random numbers along")
    return batch.draws


def views_of(batch: Batch, single: bool) -> RegisteredViews:
    """The batch's views, without the lateral one if ``single``."""
    return RegisteredViews(batch.frontal, None if single else batch.lateral, batch.beam)


def by_sample(batch: Batch) -> list[tuple[RegisteredViews, torch.Generator]]:
    """Each sample's views, lateral withheld where drawn so, and its generator."""
    draws = draws_of(batch)
    return [
        (views_of(batch[i : i + 1], bool(draws.single[i])), draws.generator(i))
        for i in range(len(batch))
    ]


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


def regression_loss(
    output: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | float = 1.0
) -> torch.Tensor:
    """L2 + 0.1 L1 of two tensors of one shape in [-1, 1], the mean over voxels that count
    ``weights``."""
    error = output - target
    return (weights * error.square()).mean() + 0.1 * (weights * error.abs()).mean()


def edge_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of the forward differences along the three axes (the paper names an
    edge loss in Table 4 and gives no formula)."""
    error = output - target
    return torch.stack([error.diff(dim=axis).abs().mean() for axis in (2, 3, 4)]).mean()


def figures(
    prefix: str, output: torch.Tensor, target: torch.Tensor, window: HuWindow
) -> dict[str, float]:
    """PSNR, SSIM and sharpness of (1, 1, h, h, h) volumes in [-1, 1]."""
    a, b = ((v[0, 0].detach().float().cpu().clamp(-1, 1) + 1) / 2 for v in (output, target))
    names = {"psnr": "psnr", "ssim": "ssim3d_gauss11", "sharp": "gradient_ratio"}
    values = compute_metrics(a, b, (window.low, window.high), names.values())
    return {f"{prefix}_{short}": values[name] for short, name in names.items()}


def mean_figures(rows: list[dict[str, float]]) -> dict[str, float]:
    """The mean over cases, key by key."""
    return {k: sum(r[k] for r in rows) / len(rows) for k in rows[0]}


def blur_of_trust(
    volume: torch.Tensor, generators: list[torch.Generator], strengths: list[float]
) -> torch.Tensor:
    """A volume with smooth random shifts and grey-level errors.

    On training patients an earlier stage is better than it will ever be on others. A later stage
    trained on its outputs as they are would trust them too much; this puts an error of the kind
    seen on unseen patients back. Strength 1: shifts of about one 64^3 voxel, grey values off by
    about 0.06 of [-1, 1].

    Args:
        volume: (B, 1, n, n, n).
        generators, strengths: one for each sample.
    """
    if not any(strengths):
        return volume
    b, _, n = volume.shape[:3]
    total = torch.zeros(b, 4, n, n, n, device=volume.device)
    # Drawn on coarse grids of two sizes and enlarged: errors of organs, and of their borders.
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
    still = torch.eye(3, 4, device=volume.device).expand(b, 3, 4)
    base = F.affine_grid(still, [b, 1, n, n, n], align_corners=False)
    moved = F.grid_sample(
        volume.float(),
        base + total[:, :3].permute(0, 2, 3, 4, 1),
        align_corners=False,
        padding_mode="border",
    )
    return moved + total[:, 3:]


def doubts(batch: Batch, largest: float) -> list[float]:
    """Each sample's strength of :func:`blur_of_trust`, uniform up to ``largest``."""
    return [largest * float(c) for c in draws_of(batch).chance[:, DOUBT]]
