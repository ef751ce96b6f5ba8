"""Training "harmoniser": from X-rays of any grey scale to the DRRs that they were made from.

The X-rays are DRRs with a random appearance (``training.data.augmentation``), so that the network
can be compared with the truth. The other trainings see the same appearances without it: it can be
added to a finished model.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from axon_backend.errors import AxonInputError
from axon_backend.methods.axon.model import AxonModel
from axon_backend.methods.batch import Batch, ValidationCase
from axon_backend.methods.objective import Measurement, Objective, regression_loss
from axon_backend.networks.blocks import average_down
from axon_backend.networks.harmoniser import PATCH

# Those of the shipped model; more of them made little difference (Testing/benchmarks/README.md).
CHANNELS = (12, 16, 32)


class HarmoniserObjective(Objective):
    """L2 and a small L1 loss between the harmonised views and the DRRs."""

    NEEDS_CLEAN = True
    model: AxonModel

    @classmethod
    def trains(cls, config: Any, loss: Any) -> tuple[str, ...]:
        return ("harmoniser",) if config.harmoniser else ()

    @classmethod
    def completed(cls, config: Any) -> Any:
        """With a harmoniser of :data:`CHANNELS`, if the model has none yet."""
        return config if config.harmoniser else replace(config, harmoniser=CHANNELS)

    @classmethod
    def check(cls, config: Any, loss: Any) -> None:
        channels, side = config.harmoniser, config.view_size
        if min(channels) < 1:
            raise AxonInputError(
                f"model.harmoniser is {list(channels)}; every level needs at least one channel."
            )
        if side % (PATCH * 2 ** (len(channels) - 1)):
            raise AxonInputError(
                f"model.harmoniser is {list(channels)}, which has {len(channels)} levels; X-rays "
                f"of {side} x {side} pixels cannot be halved that often. Use fewer."
            )

    def forward(self, batch: Batch) -> torch.Tensor:
        _, harmonised, clean = self._compared(batch)
        return regression_loss(harmonised, clean)

    def measure(self, case: ValidationCase) -> Measurement:
        """Root mean square errors of both views, in grey levels of standardised views: ``rmse``,
        and without the harmoniser ``rmse_before``."""
        seen, harmonised, clean = self._compared(case.batch)
        return Measurement(
            {
                "rmse": float((harmonised - clean).square().mean().sqrt()),
                "rmse_before": float((seen - clean).square().mean().sqrt()),
            }
        )

    def score(self, metrics: dict[str, float]) -> float:
        return metrics["rmse"]

    def _compared(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The views as they are, harmonised, and clean; (2 B, 1, s, s) each, frontal first."""
        assert batch.clean is not None
        side, network = self.model.config.view_size, self.model.harmoniser
        views = [average_down(v, side) for v in (batch.frontal, batch.lateral)]
        harmonised = torch.cat([network(views[0], True), network(views[1], False)])
        clean = torch.cat([batch.clean[:, :1], batch.clean[:, 1:]])
        return torch.cat(views), harmonised.float(), average_down(clean, side)
