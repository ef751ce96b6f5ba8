"""Validation: full sampling on whole patients, distributed over the processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from axon_backend.methods.batch import ValidationCase
from axon_backend.methods.objective import Measurement, Objective, mean_metrics
from axon_backend.training.config import TrainConfig
from axon_backend.training.run import distributed
from axon_backend.training.run.curves import Curves
from axon_backend.training.run.events import RunWriter
from axon_backend.training.run.sample_images import write_sample


@dataclass
class ValidationResult:
    """The mean metrics over all cases, the loss that selects the best checkpoint, and samples."""

    metrics: dict[str, float]
    loss: float
    samples: list[tuple[ValidationCase, Measurement]] = field(default_factory=list)


def validate(
    objective: Objective,
    cases: list[ValidationCase],
    *,
    rank: int,
    shown: int,
    stopped: Callable[[], bool] = lambda: False,
) -> ValidationResult | None:
    """Measure this process's cases and gather the metrics of all processes.

    Args:
        objective: the objective, with the weights to be validated.
        cases: all cases, on the objective's device; with n processes, each measures every n-th.
        rank: rank of this process.
        shown: number of cases, from the first, whose samples are kept.
        stopped: checked between cases; if it returns True on any process, validation is abandoned
            on all of them and None is returned.
    """
    world = distributed.count()
    rows: list[tuple[int, dict[str, float]]] = []
    samples = []
    abandoned = False
    was_training = objective.training
    objective.eval()
    try:
        for number in range(rank, len(cases), world):
            if stopped():
                abandoned = True
                break
            with torch.no_grad():
                measured = objective.measure(cases[number])
            rows.append((number, measured.metrics))
            if number < shown and measured.sample is not None:
                samples.append((cases[number], measured))
    finally:
        objective.train(was_training)
    gathered = distributed.gather((abandoned, rows))
    if any(up for up, _ in gathered):
        return None
    ordered = [
        row for _, row in sorted((r for _, part in gathered for r in part), key=lambda r: r[0])
    ]
    metrics = mean_metrics(ordered)
    return ValidationResult(metrics, objective.score(metrics), samples)


def show(
    result: ValidationResult,
    writer: RunWriter,
    curves: Curves | None,
    config: TrainConfig,
    step: int,
) -> None:
    """Write the samples of all processes; the first process writes their events."""
    folder, window = writer.folder.samples, config.model.window
    made = [
        (case.name, write_sample(folder, step, config.stage, case, measured, window))
        for case, measured in result.samples
    ]
    for name, files in (one for part in distributed.gather(made) for one in part):
        writer.event("sample", step=step, files=files, case=name)
        if curves is not None:
            curves.image(step, name, Path(files["image"]))
