"""A whole method in about a hundred lines, as somebody else's package would bring it.

``test_toy_method.py`` installs this file outside of AXON. The frontal view is spread along its rays
and each depth learns its own gain and offset; a second stage smooths the result.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import nn

from axon_backend.imaging.frame import HuWindow
from axon_backend.methods.formats import views_to_volume
from axon_backend.methods.info import MethodInfo, StageInfo, TrainingInfo
from axon_backend.methods.objective import Measurement, Objective
from axon_backend.methods.protocol import Method, Model, OneGridConfig
from axon_backend.util.run_context import RunContext

INFO = MethodInfo(
    name="toy",
    label="Toy method",
    summary="the frontal view spread along its rays, a gain and an offset for each depth.",
    stages=(
        StageInfo("spread", "Spreading", "spread view", takes_steps=False),
        StageInfo("smooth", "Smoothing", "smoothed volume", needs="spread"),
    ),
    trainings=(TrainingInfo("depths", "Depths", "Gains and offsets. Needs nothing before it."),),
    implementation="toy_method:TOY",
    presets=("small",),
)


@dataclass(frozen=True)
class ToyConfig(OneGridConfig):
    grid: int = 16
    view_size: int = 32
    smooth_steps: int = 2
    window: HuWindow = field(default_factory=HuWindow)

    networks = ("depths",)


@dataclass(frozen=True)
class ToyLoss:
    weight: float = 1.0


class Depths(nn.Module):
    def __init__(self, grid: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(grid, 1))
        self.offset = nn.Parameter(torch.zeros(grid, 1))

    def forward(self, frontal: torch.Tensor) -> torch.Tensor:
        grid = len(self.gain)
        rows = F.adaptive_avg_pool2d(frontal, grid).flip(2)  # z runs up, rows run down
        return self.gain * rows[:, :, :, None] + self.offset  # (B, 1, z, y, x)


class ToyModel(Model):
    def __init__(self, method: Method, config: ToyConfig) -> None:
        super().__init__(method, config)
        self.depths = Depths(config.grid)

    @torch.inference_mode()
    def run_stage(self, stage, views, volume, *, steps=None, context=None, slab=None):
        context = context or RunContext()
        if stage == "spread":
            out = self.depths(views.frontal.to(self.device)).clamp(-1, 1)
            context.report(stage, 1, 1, out)
            return out
        count = steps or self.config.smooth_steps
        for step in range(count):
            volume = F.avg_pool3d(volume, 3, 1, 1, count_include_pad=False)
            context.report(stage, step + 1, count, volume)
        return volume


class DepthsObjective(Objective):
    def forward(self, batch):
        return self.loss.weight * F.mse_loss(self.model.depths(batch.frontal), batch.volume)

    def measure(self, case):
        out = self.model.depths(case.batch.frontal)
        return Measurement(self.compare("spread", out, case.batch.volume), out[0, 0])

    def score(self, metrics):
        return -metrics["spread_psnr"]


class ToyMethod(Method):
    info = INFO
    config_type = ToyConfig
    presets = {"small": ToyConfig}
    objectives = {"depths": DepthsObjective}
    loss_settings = ToyLoss
    sampling_key = "smooth_steps"

    def build(self, config):
        return ToyModel(self, config)

    def networks_of(self, config, stage):
        return config.networks if stage == "spread" else ()

    def default_steps(self, config):
        return {"spread": 1, "smooth": config.smooth_steps}

    def stochastic_stages(self, config):
        return ()

    def network_formats(self, config):
        return {"depths": views_to_volume(config.view_size, config.grid)}


TOY = ToyMethod()
