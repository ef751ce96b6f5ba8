"""Stage 1, CoarseDiff: a Brownian bridge from F(x) to the CT (paper, section 3.1)."""

from __future__ import annotations

import torch

from axon_backend.diffusion.estimate_error import EstimateError
from axon_backend.diffusion.sampling import OnStep
from axon_backend.methods.axon.config import AxonConfig
from axon_backend.methods.axon.stage import StageModule, batched, condition, count_steps
from axon_backend.methods.axon.test_time_augmentation import (
    SHIFTS,
    ShiftedBackMean,
    Voxels,
    shifted_views,
)
from axon_backend.methods.protocol import RegisteredViews
from axon_backend.networks.encoder import LiftingEncoder
from axon_backend.networks.precision import Precision
from axon_backend.networks.unet import DiffusionUNet


class CoarseDiff(StageModule):
    """The lifting encoder F and the bridge's U-Net.

    Args:
        config: the model's configuration.
        precision: the model's precision.
    """

    def __init__(self, config: AxonConfig, precision: Precision) -> None:
        super().__init__(config, precision)
        self.encoder = LiftingEncoder(config.encoder)
        self.unet = DiffusionUNet(config.coarse, in_channels=1 + config.condition_channels)

    def x_T(self, views: RegisteredViews) -> torch.Tensor:
        """F(x), the end point of the bridge, (B, 1, h, h, h)."""
        with self.autocast():
            return self.encoder(views.frontal, views.lateral, views.beam, views.has_lateral)

    def predict_x0(
        self, x_t: torch.Tensor, t: torch.Tensor, x_T: torch.Tensor, condition: torch.Tensor
    ) -> torch.Tensor:
        """The bridge network's estimate of Y at x_t."""
        with self.autocast():
            output = self.unet(torch.cat([x_t, condition], 1), t)
        return self.config.bridge.predict_x0(output, x_t, x_T, t)

    def run(
        self,
        views: RegisteredViews,
        steps: int,
        generator: torch.Generator,
        on_step: OnStep | None = None,
        tta_shifts: int | None = None,
    ) -> torch.Tensor:
        """X^, (B, 1, h, h, h) clipped to [-1, 1]; with 0 steps, F(x).

        Args:
            views: the views of the batch.
            steps: sampling steps.
            generator: source of the noise.
            on_step: called after every step.
            tta_shifts: see ``Sampling.tta_shifts``, which is the default for up to one step.
        """
        if tta_shifts is None:
            # Several steps draw a sample; a mean of four draws would hide their variation.
            tta_shifts = self.config.sampling.tta_shifts if steps <= 1 else 1
        shifts = SHIFTS[tta_shifts]
        each = max(1, steps)
        total = each * len(shifts)

        def shown(shift: Voxels) -> RegisteredViews:
            return shifted_views(views, shift, self.config.grid) if any(shift) else views

        def one_by_one() -> torch.Tensor:
            mean = ShiftedBackMean()
            for i, shift in enumerate(shifts):
                counted = count_steps(on_step, i * each, total)
                mean.add(self._run_bridge(shown(shift), steps, generator, counted), shift)
            return mean.mean()

        def together() -> torch.Tensor:
            counted = count_steps(on_step, 0, total, runs=len(shifts))
            seen = [shown(shift) for shift in shifts]
            volumes = self._run_bridge(_stacked(seen), steps, generator, counted)
            mean = ShiftedBackMean()
            for volume, shift in zip(volumes.split(1), shifts, strict=True):
                mean.add(volume, shift)
            return mean.mean()

        if len(shifts) == 1 or len(views.frontal) > 1:
            return one_by_one()
        return batched(together, one_by_one, views.frontal.device, generator)

    def _run_bridge(
        self,
        views: RegisteredViews,
        steps: int,
        generator: torch.Generator,
        on_step: OnStep | None,
    ) -> torch.Tensor:
        x_T = self.x_T(views)
        if steps == 0:
            if on_step is not None:
                on_step(1, 1, x_T)
            return x_T.clamp(-1, 1)
        seen = condition(self.config, views, x_T)
        sample = self.config.bridge.sample(
            lambda x_t, t: self.predict_x0(x_t, t, x_T, seen),
            x_T,
            steps,
            error=self._error(views),
            generator=generator,
            on_step=on_step,
        )
        return sample.clamp(-1, 1)

    def _error(self, views: RegisteredViews) -> EstimateError:
        known = self.config.coarse_error
        alone = views.lateral is None or (
            views.has_lateral is not None and not bool(views.has_lateral.any())
        )
        return known.frontal if alone else known.both


def _stacked(views: list[RegisteredViews]) -> RegisteredViews:
    """The same patient's views, differently shifted, as one batch."""
    laterals = [one.lateral for one in views if one.lateral is not None]
    present = [one.has_lateral for one in views if one.has_lateral is not None]
    return RegisteredViews(
        torch.cat([one.frontal for one in views]),
        torch.cat(laterals) if laterals else None,
        torch.cat([one.beam for one in views]),
        torch.cat(present) if present else None,
    )
