"""Training "harmoniser": from X-rays of any grey scale to the DRRs that they were made from.

The X-rays are DRRs with a random appearance (``training.data.augmentation``), so that the network
can be compared with the truth. The other trainings see the same appearances without it: it can be
added to a finished model.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from axon_backend.methods.axon.model import AxonModel
from axon_backend.methods.batch import Batch, ValidationCase
from axon_backend.methods.objective import Measurement, Objective, regression_loss
from axon_backend.networks.blocks import average_down

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

    def forward(self, batch: Batch) -> torch.Tensor:
        harmonised, clean = self._pairs(batch)
        return regression_loss(harmonised, clean)

    def measure(self, case: ValidationCase) -> Measurement:
        """Root mean square errors of both views, in grey levels of standardised views: ``rmse``,
        and without the harmoniser ``rmse_before``."""
        harmonised, clean = self._pairs(case.batch)
        side = self.model.config.view_size
        seen = [average_down(v, side) for v in (case.batch.frontal, case.batch.lateral)]
        before = torch.cat(seen) - clean
        return Measurement(
            {
                "rmse": float((harmonised - clean).square().mean().sqrt()),
                "rmse_before": float(before.square().mean().sqrt()),
            }
        )

    def score(self, metrics: dict[str, float]) -> float:
        return metrics["rmse"]

    def _pairs(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """The harmonised views, frontal then lateral, and the clean ones, (2 B, 1, s, s)."""
        assert batch.clean is not None
        side, network = self.model.config.view_size, self.model.harmoniser
        views = [average_down(v, side) for v in (batch.frontal, batch.lateral)]
        harmonised = torch.cat([network(views[0], True), network(views[1], False)])
        clean = torch.cat([batch.clean[:, :1], batch.clean[:, 1:]])
        return harmonised.float(), average_down(clean, side)
