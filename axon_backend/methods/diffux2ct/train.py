"""Training "diffusion": the denoising loss, and the geometry projection loss."""

from __future__ import annotations

import torch

from axon_backend.methods.batch import Batch
from axon_backend.methods.diffux2ct.model import DiffuX2CTModel
from axon_backend.methods.from_noise import FromNoiseObjective


def projection_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """L1 of the mean projections along z, y and x, for each sample.

    Args:
        output, target: (B, 1, D, D, D) in [-1, 1].

    Returns:
        (B,).
    """
    error = output - target
    return torch.stack([error.mean(axis).abs().mean((1, 2, 3)) for axis in (2, 3, 4)]).mean(0)


class DiffusionObjective(FromNoiseObjective):
    """``L_simple + lambda L_proj``: L2 on the network's target, and :func:`projection_loss` of the
    estimate of the CT.

    The estimate inverts the diffusion, ``(y_t - sqrt(1 - abar_t) e) / sqrt(abar_t)``; a summary of
    the paper prints it without the root of 1 - abar_t.
    """

    model: DiffuX2CTModel

    def forward(self, batch: Batch) -> torch.Tensor:
        draws, diffusion = batch.drawn(), self.model.config.diffusion
        t = (diffusion.steps * draws.t).long().to(batch.volume.device)
        y_t = diffusion.q_sample(batch.volume, t, draws.noise)
        output = self.model.denoiser(y_t, t, self.model.conditions(batch.training_views()))
        loss = (output - diffusion.target(batch.volume, t, draws.noise)).square().mean()
        if self.loss.projection:
            x0_hat = diffusion.predict_x0(output, y_t, t).clamp(-1, 1)
            counts = t < self.loss.projection_until * diffusion.steps
            missed = projection_loss(x0_hat, batch.volume)
            loss = loss + self.loss.projection * (counts * missed).mean()
        return loss
