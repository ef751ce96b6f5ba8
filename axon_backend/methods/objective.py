"""Base classes of the trainings of all methods: a loss, validation, a score."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from axon_backend.imaging.frame import HuWindow
from axon_backend.methods.batch import Batch, ValidationCase
from axon_backend.methods.protocol import Model, RegisteredViews
from axon_backend.metrics import VolumePair, compute_metrics, registered_metrics


@dataclass
class Measurement:
    """Result of a validation case: its metrics, the volume (n, n, n) in [-1, 1] to be shown (None:
    there is none), and a note for its title."""

    metrics: dict[str, float]
    sample: torch.Tensor | None = None
    note: str = ""


class Adversary(nn.Module):
    """A discriminator or critic, trained with its own loss against an objective's networks.

    It exists only during training: it is stored in checkpoints, not in bundles.

    Args:
        lr, betas: settings of its Adam optimiser; the learning rate follows the run's schedule.
        every: number of steps of the networks per step of the adversary.
    """

    def __init__(self, *, lr: float, betas: tuple[float, float], every: int = 1) -> None:
        super().__init__()
        self.lr, self.betas, self.every = lr, betas, every

    @abstractmethod
    def forward(self, batch: Batch, output: torch.Tensor) -> torch.Tensor:
        """The adversary's loss, a mean over the samples of a batch.

        Args:
            batch: the batch that was passed to the objective.
            output: ``Objective.output`` for that batch.
        """


class Objective(nn.Module):
    """One training of a method: its loss as a module, so that the gradients of several processes
    can be averaged.

    Args:
        model: holds the networks that are trained or needed; others may be missing.
        loss: the method's loss settings.
        single_view: share of samples with the frontal view only.
        repeats: whether samples repeat (``data.repeat_after``); equal seeds are then the same
            sample.

    Attributes:
        adversary: see :meth:`make_adversary`. The networks' loss evaluates it with its parameters
            frozen; after an update of the networks, the trainer updates it on the same batches.
        output: the volumes of the last ``forward``, detached, if there is an adversary.
    """

    NEEDS_FINE = False
    """Whether the loss uses ``Batch.fine``; if not, ``volume`` replaces it."""
    NEEDS_CLEAN = False
    """Whether the loss uses ``Batch.clean``; samples are then DRRs only, without errors of their
    registration, and validation cases have a random appearance."""
    CAN_REPEAT = False
    """Whether the training caches results for samples that repeat."""

    def __init__(
        self, model: Model, loss: Any, *, single_view: float, repeats: bool = False
    ) -> None:
        super().__init__()
        self.model, self.loss = model, loss
        self.single_view, self.repeats = single_view, repeats
        self.adversary = self.make_adversary()
        self.output: torch.Tensor | None = None

    def make_adversary(self) -> Adversary | None:
        """The adversary, with random weights; by default None."""
        return None

    @classmethod
    def trains(cls, config: Any, loss: Any) -> tuple[str, ...]:
        """The networks that are trained, by default all."""
        return config.networks

    @classmethod
    def needs(cls, config: Any, loss: Any) -> tuple[str, ...]:
        """The networks that are used but not trained."""
        return ()

    @classmethod
    def completed(cls, config: Any) -> Any:
        """The configuration with what this training adds to a model that lacks it, by default
        nothing."""
        return config

    @classmethod
    def check(cls, config: Any, loss: Any) -> None:
        """Raise AxonInputError if configuration and loss settings do not allow this training."""

    @property
    def window(self) -> HuWindow:
        """The HU that are mapped to -1 and 1."""
        return self.model.config.window

    def networks(self) -> dict[str, nn.Module]:
        """The networks that are trained, by name."""
        names = self.trains(self.model.config, self.loss)
        return {name: self.model.network(name) for name in names}

    @abstractmethod
    def forward(self, batch: Batch) -> torch.Tensor:
        """The loss of a batch, a mean over its samples."""

    @abstractmethod
    def measure(self, case: ValidationCase) -> Measurement:
        """Metrics of one validation case, from full sampling with a fixed seed."""

    def score(self, metrics: dict[str, float]) -> float:
        """The value that the best checkpoint minimises, from metrics averaged over the cases. By
        default the negative PSNR of :meth:`measure_views`."""
        return -self.weigh(metrics["v2_psnr"], metrics["v1_psnr"])

    def compare(
        self, prefix: str, output: torch.Tensor, target: torch.Tensor, *, clip: bool = True
    ) -> dict[str, float]:
        """PSNR (dB), SSIM and sharpness of a volume.

        Args:
            prefix: prefix of the metrics' names.
            output, target: (1, 1, n, n, n), the target in [-1, 1].
            clip: clip the output to [-1, 1], as when HU are written.

        Returns:
            {"PREFIX_psnr", "PREFIX_ssim", "PREFIX_sharp"}.
        """
        a, b = ((v[0, 0].detach().float().cpu() + 1) / 2 for v in (output, target))
        names = {"psnr": "psnr", "ssim": "ssim3d_gauss11", "sharp": "gradient_ratio"}
        window = (self.window.low, self.window.high)
        if clip:
            values = compute_metrics(a, b.clamp(0, 1), window, names.values())
        else:
            pair = VolumePair(a.numpy(), b.clamp(0, 1).numpy(), window)
            metrics = {name: registered_metrics()[name] for name in names.values()}
            values = {name: m.function(pair, m.region) for name, m in metrics.items()}
        return {f"{prefix}_{short}": values[name] for short, name in names.items()}

    def by_views(self, case: ValidationCase) -> dict[str, RegisteredViews]:
        """The views that a case is validated with: ``v2``, both, and ``v1``, the frontal only."""
        return {"v2": case.batch.views(), "v1": case.batch.views(single=True)}

    def measure_views(
        self, case: ValidationCase, make: Callable[[RegisteredViews], torch.Tensor]
    ) -> Measurement:
        """Metrics of the volumes that ``make`` (views -> (1, 1, n, n, n)) computes from each of
        :meth:`by_views`."""
        row: dict[str, float] = {}
        made = {}
        for name, views in self.by_views(case).items():
            made[name] = make(views)
            row |= self.compare(name, made[name], case.batch.volume)
        return Measurement(row, made[self.shown_views][0, 0])

    @property
    def shown_views(self) -> str:
        """The key of :meth:`by_views` whose sample is shown: ``v1`` when trained for single views
        only."""
        return "v1" if self.single_view >= 1 else "v2"

    def weigh(self, two: float, one: float) -> float:
        """Combine a metric with two views and with one, according to the views trained with."""
        if self.single_view >= 1:
            return one
        return two if self.single_view <= 0 else two + 0.5 * one


def regression_loss(
    output: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | float = 1.0
) -> torch.Tensor:
    """L2 + 0.1 L1 of two tensors of the same shape in [-1, 1]: the mean over voxels, with
    ``weights``."""
    error = output - target
    return (weights * error.square()).mean() + 0.1 * (weights * error.abs()).mean()


def mean_metrics(rows: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each metric over the cases."""
    return {k: sum(r[k] for r in rows) / len(rows) for k in rows[0]}
