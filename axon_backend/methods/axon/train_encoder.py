"""Training "encoder": F(x) learns to return the volume by itself.

The bridge starts from F(x); what F(x) does not hold, the sampler has to invent. L2 plus a little
L1: the end point is then close to the conditional mean, the best start in the sense of PSNR.
"""

from __future__ import annotations

from typing import Any

import torch

from axon_backend.methods.axon.losses import voxel_weights
from axon_backend.methods.axon.model import AxonModel
from axon_backend.methods.batch import Batch, ValidationCase
from axon_backend.methods.objective import Measurement, Objective, regression_loss
from axon_backend.networks.encoder import LiftingEncoder


def encode(encoder: LiftingEncoder, batch: Batch) -> torch.Tensor:
    """F(x) of a training batch, the lateral view withheld where drawn so.

    Every parameter of the encoder takes part, if only with a gradient of zero: averaging over
    processes needs that, and a parameter then fares the same however samples are shared out.
    """
    views = batch.training_views()
    out = encoder(views.frontal, views.lateral, views.beam, views.has_lateral).float()
    if views.lateral is None:
        for parameter in encoder.fusion.parameters():
            out = out + 0.0 * parameter.sum()
    return out


class EncoderObjective(Objective):
    """Trains F alone, with L2 and a little L1."""

    model: AxonModel

    @classmethod
    def trains(cls, config: Any, loss: Any) -> tuple[str, ...]:
        return ("encoder",)

    def forward(self, batch: Batch) -> torch.Tensor:
        weights = voxel_weights(batch.volume, self.window, self.loss.bone)
        output = encode(self.model.coarse_diff.encoder, batch)
        return regression_loss(output, batch.volume, weights)

    def measure(self, case: ValidationCase) -> Measurement:
        """F(x) alone with two views (``v2``) and with one (``v1``)."""
        return self.measure_views(case, self.model.coarse_diff.x_T)
