"""Stage "encoder": F(x) learns to return the volume by itself.

The bridge starts from F(x); what F(x) does not hold, the sampler has to invent. L2 plus a little
L1: the end point is then close to the conditional mean, the best start in the sense of PSNR.
"""

from __future__ import annotations

import torch

from axon_backend.methods.objective import (
    Measured,
    Stage,
    draws_of,
    figures,
    regression_loss,
    views_of,
    voxel_weights,
)
from axon_backend.networks.encoder import LiftingEncoder
from axon_backend.training.data.batch import Batch
from axon_backend.training.data.cases import Case


def encode(encoder: LiftingEncoder, batch: Batch) -> torch.Tensor:
    """F(x) of a training batch, the lateral view withheld where drawn so.

    Every parameter of the encoder takes part, if only with a gradient of zero: averaging over
    processes needs that, and a parameter then fares the same however samples are shared out.
    """
    single = draws_of(batch).single
    out = batch.volume.new_empty(batch.volume.shape)
    spare = out.new_zeros(())
    order, parts = [], []
    for one in (False, True):
        which = (single == one).nonzero().flatten()
        if len(which) == 0:
            continue
        index = which.to(batch.volume.device)
        lateral = None if one else batch.lateral[index]
        parts.append(encoder(batch.frontal[index], lateral, batch.beam[index]))
        order.append(which)
    if bool(single.all()):
        for parameter in encoder.fusion.parameters():
            spare = spare + 0.0 * parameter.sum()
    back = torch.cat(order).argsort().to(batch.volume.device)
    return torch.cat(parts).float()[back] + spare


class EncoderStage(Stage):
    """Trains F alone, with L2 and a little L1."""

    def forward(self, batch: Batch) -> torch.Tensor:
        weights = voxel_weights(batch.volume, self.model.config.window, self.loss.bone)
        return regression_loss(encode(self.model.encoder, batch), batch.volume, weights)

    def measure(self, case: Case) -> Measured:
        """F(x) alone with two views (``v2``) and with one (``v1``)."""
        row: dict[str, float] = {}
        out = {}
        for name, single in (("v2", False), ("v1", True)):
            out[name] = self.model.end_point(views_of(case.batch, single))
            row |= figures(name, out[name], case.batch.volume, self.config.model.window)
        return Measured(row, out["v1" if self.loss.single_view >= 1 else "v2"][0, 0])

    def score(self, figures: dict[str, float]) -> float:
        return -weigh(figures["v2_psnr"], figures["v1_psnr"], self.loss.single_view)


def weigh(two: float, one: float, single_view: float) -> float:
    """What counts of a figure with two views and with one: both when both are trained."""
    if single_view >= 1:
        return one
    return two if single_view <= 0 else two + 0.5 * one
