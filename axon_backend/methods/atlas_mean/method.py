"""The mean chest as a :class:`Method`: its only parameter is a volume, for which L2 yields the
mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from axon_backend.imaging.frame import HuWindow
from axon_backend.methods.atlas_mean import INFO
from axon_backend.methods.batch import Batch, ValidationCase
from axon_backend.methods.formats import views_to_volume
from axon_backend.methods.generator import OnePassModel
from axon_backend.methods.objective import Measurement, Objective
from axon_backend.methods.protocol import Method, OneGridConfig, RegisteredViews


@dataclass(frozen=True)
class AtlasMeanConfig(OneGridConfig):
    """Sizes and window.

    Attributes:
        grid: side of the volume in voxels.
        view_size: side of the X-rays in pixels; not used by this method.
        window: the HU that are mapped to -1 and 1.
    """

    grid: int = 64
    view_size: int = 128
    window: HuWindow = field(default_factory=HuWindow)

    networks = ("mean",)


@dataclass(frozen=True)
class AtlasMeanLoss:
    """L2 has no settings."""


class MeanVolume(nn.Module):
    """(B, ...) -> the same volume B times, (B, 1, h, h, h)."""

    def __init__(self, grid: int) -> None:
        super().__init__()
        self.volume = nn.Parameter(torch.zeros(1, 1, grid, grid, grid))

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        return self.volume.expand(len(views), -1, -1, -1, -1)


class AtlasMeanModel(OnePassModel):
    """A model with the same volume for all X-rays."""

    config: AtlasMeanConfig

    def __init__(self, method: Method, config: AtlasMeanConfig) -> None:
        super().__init__(method, config)
        self.mean = MeanVolume(config.grid)

    def set_mean_volume(self, mean: torch.Tensor) -> None:
        if self.has_network("mean"):
            with torch.no_grad():
                factor = mean.shape[-1] // self.config.grid
                self.mean.volume.copy_(F.avg_pool3d(mean, factor))

    def reconstruct_views(self, views: RegisteredViews) -> torch.Tensor:
        return self.mean(views.frontal)


class MeanObjective(Objective):
    """L2, whose minimum is the mean of the training volumes."""

    model: AtlasMeanModel

    def forward(self, batch: Batch) -> torch.Tensor:
        return (self.model.mean(batch.frontal) - batch.volume).square().mean()

    def measure(self, case: ValidationCase) -> Measurement:
        out = self.model.mean(case.batch.frontal)
        # A copy, since training continues with weights other than the validated ones.
        return Measurement(self.compare("mean", out, case.batch.volume), out[0, 0].detach().clone())

    def score(self, metrics: dict[str, float]) -> float:
        return -metrics["mean_psnr"]


class AtlasMeanMethod(Method):
    """See the package's docstring."""

    info = INFO
    config_type = AtlasMeanConfig
    presets = {"preview": AtlasMeanConfig}
    objectives = {"mean": MeanObjective}
    loss_settings = AtlasMeanLoss

    def build(self, config: AtlasMeanConfig) -> AtlasMeanModel:
        return AtlasMeanModel(self, config)

    def network_formats(self, config: AtlasMeanConfig) -> dict[str, dict[str, Any]]:
        return {"mean": views_to_volume(config.view_size, config.grid)}


ATLAS_MEAN = AtlasMeanMethod()
