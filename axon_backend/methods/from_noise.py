"""Base classes of methods that sample a volume, or its latents, from pure noise."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch

from axon_backend.diffusion.sampling import OnStep
from axon_backend.methods.batch import ValidationCase
from axon_backend.methods.objective import Measurement, Objective
from axon_backend.methods.protocol import Model, RegisteredViews
from axon_backend.networks.precision import autocast
from axon_backend.util.run_context import RunContext

# Maximum number of sampling steps in validation, which is run often to choose a checkpoint.
VALIDATION_STEPS = 10


class FromNoiseModel(Model):
    """A model whose only stage samples a Gaussian diffusion conditioned on the X-rays.

    The diffusion is ``config.diffusion``, its sampling settings are ``config.sampling``.
    """

    IN_LATENTS = False
    """Whether latents are sampled; they cannot be shown as a preview of the volume."""

    @property
    @abstractmethod
    def sample_shape(self) -> tuple[int, ...]:
        """Channels and sides of the sample, without the batch axis."""

    @abstractmethod
    def conditions(self, views: RegisteredViews) -> Any:
        """The conditioning computed from the X-rays, once for all steps."""

    @abstractmethod
    def denoise(self, y_t: torch.Tensor, t: torch.Tensor, conditions: Any) -> torch.Tensor:
        """The network's output at y_t, (B, *sample_shape) float32."""

    def decode(self, sample: torch.Tensor) -> torch.Tensor:
        """The volume, (B, 1, h, h, h), of a sample; by default the sample itself."""
        return sample

    def draw(
        self,
        views: RegisteredViews,
        steps: int | None,
        generator: torch.Generator,
        on_step: OnStep | None = None,
    ) -> torch.Tensor:
        """A sample of the CT, (B, 1, h, h, h) clipped to [-1, 1].

        ``steps`` overrides the configured number; ``on_step`` receives the sample before decoding.
        """
        diffusion = self.config.diffusion
        with autocast(self.device, self.always_bfloat16):
            conditions = self.conditions(views)

        def estimate(y_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            with autocast(self.device, self.always_bfloat16):
                output = self.denoise(y_t, t, conditions)
            return diffusion.predict_x0(output, y_t, t)

        sample = self.config.sampling.draw(
            diffusion,
            estimate,
            (len(views.frontal), *self.sample_shape),
            device=self.device,
            generator=generator,
            steps=steps,
            on_step=on_step,
        )
        with autocast(self.device, self.always_bfloat16):
            return self.decode(sample).clamp(-1, 1)

    @torch.inference_mode()
    def run_stage(
        self,
        stage: str,
        views: RegisteredViews,
        volume: torch.Tensor | None,
        *,
        steps: int | None = None,
        context: RunContext | None = None,
        slab: int | None = None,
    ) -> torch.Tensor:
        context = context or RunContext()

        def on_step(done: int, total: int, sample: torch.Tensor) -> None:
            context.report(stage, done, total, None if self.IN_LATENTS else sample)

        generator = self.generator(stage, context.seed)
        return self.draw(views.to(self.device), steps, generator, on_step)


class FromNoiseObjective(Objective):
    """Trains the diffusion; validates samples with two views (``v2``) and with one (``v1``)."""

    model: FromNoiseModel

    def measure(self, case: ValidationCase) -> Measurement:
        steps = min(VALIDATION_STEPS, self.model.config.sampling.steps)

        def sample(views: RegisteredViews) -> torch.Tensor:
            return self.model.draw(views, steps, torch.Generator().manual_seed(0))

        return self.measure_views(case, sample)
