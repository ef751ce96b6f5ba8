"""Training "encoder": F(x) learns to predict the volume by itself.

The bridge starts from F(x), and the sampler has to invent what F(x) lacks. With L2 plus a small L1
loss, F(x) is close to the conditional mean, the best start in terms of PSNR.
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
    """F(x) of a training batch; lateral views are withheld as drawn.

    Every parameter of the encoder takes part, if only with a gradient of zero: averaging over
    processes requires it, and updates then do not depend on how samples are distributed.
    """
    views = batch.training_views()
    out = encoder(views.frontal, views.lateral, views.beam, views.has_lateral).float()
    if views.lateral is None:
        for parameter in encoder.fusion.parameters():
            out = out + 0.0 * parameter.sum()
    return out


class EncoderObjective(Objective):
    """Trains F alone, with L2 and a small L1 loss."""

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
