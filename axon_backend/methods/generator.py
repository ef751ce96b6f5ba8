"""Base classes of methods that compute the volume in one pass."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import nn

from axon_backend.errors import AxonInputError
from axon_backend.methods.batch import Batch, Draws, ValidationCase
from axon_backend.methods.objective import Measurement, Objective
from axon_backend.methods.protocol import Method, Model, RegisteredViews
from axon_backend.networks.precision import autocast
from axon_backend.util.run_context import RunContext


class OnePassModel(Model):
    """A model whose only stage computes the volume in one pass."""

    @abstractmethod
    def reconstruct_views(self, views: RegisteredViews) -> torch.Tensor:
        """The volume, (B, 1, h, h, h) in about [-1, 1], from views on this model's device."""

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
        out = self.reconstruct_views(views.to(self.device)).clamp(-1, 1)
        (context or RunContext()).report(stage, 1, 1, out)
        return out


class GeneratorModel(OnePassModel):
    """A model whose only network, "generator", maps views (and the draws of a training step, or
    None) to (B, 1, h, h, h)."""

    PATHS = {"generator": "views_to_volume"}
    views_to_volume: nn.Module

    def __init__(self, method: Method, config: Any) -> None:
        config.check()
        super().__init__(method, config)

    def make(self, views: RegisteredViews, draws: Draws | None = None) -> torch.Tensor:
        """The volume, (B, 1, h, h, h) in about [-1, 1]."""
        return self.views_to_volume(views, draws)

    def reconstruct_views(self, views: RegisteredViews) -> torch.Tensor:
        """:meth:`make`, in the precision of the device."""
        with autocast(self.device, self.always_bfloat16):
            return self.make(views).float()


class GeneratorObjective(Objective):
    """Trains the generator; validated with two views (``v2``) and with one (``v1``)."""

    model: GeneratorModel

    @classmethod
    def check(cls, config: Any, loss: Any) -> None:
        try:
            config.check()
        except ValueError as error:
            raise AxonInputError(f"model: {error}.") from error

    def make(self, batch: Batch) -> torch.Tensor:
        """The volumes of a training batch; lateral views are withheld as drawn."""
        output = self.model.make(batch.training_views(), batch.drawn()).float()
        if self.adversary is not None:
            self.output = output.detach()
        return output

    def measure(self, case: ValidationCase) -> Measurement:
        return self.measure_views(case, self.model.reconstruct_views)
