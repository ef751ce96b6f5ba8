"""Validation: real sampling on whole patients, shared out among the processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from axon_backend.methods.objective import Measured, Stage, mean_figures
from axon_backend.training.config import TrainConfig
from axon_backend.training.data.cases import Case
from axon_backend.training.run import distributed
from axon_backend.training.run.curves import Curves
from axon_backend.training.run.events import RunWriter
from axon_backend.training.run.sample_images import write_sample


@dataclass
class Verdict:
    """The mean figures over all cases, what chooses the best checkpoint, and samples to show."""

    figures: dict[str, float]
    loss: float
    samples: list[tuple[Case, Measured]] = field(default_factory=list)


def judge(
    stage: Stage,
    cases: list[Case],
    *,
    rank: int,
    shown: int,
    stopped: Callable[[], bool] = lambda: False,
) -> Verdict | None:
    """Measure this process's cases and gather the figures of all.

    Args:
        stage: with the weights to be judged.
        cases: all of them, on the stage's device; this process measures every n-th.
        shown: samples to keep, of the first cases.
        stopped: asked between cases; True gives up (on every process), and None is returned.
    """
    world = distributed.count()
    rows: list[tuple[int, dict[str, float]]] = []
    samples = []
    given_up = False
    was_training = stage.training
    stage.eval()
    try:
        for number in range(rank, len(cases), world):
            if stopped():
                given_up = True
                break
            with torch.no_grad():
                measured = stage.measure(cases[number])
            rows.append((number, measured.figures))
            if number < shown:
                samples.append((cases[number], measured))
    finally:
        stage.train(was_training)
    gathered = distributed.gather((given_up, rows))
    if any(up for up, _ in gathered):
        return None
    ordered = [
        row for _, row in sorted((r for _, part in gathered for r in part), key=lambda r: r[0])
    ]
    figures = mean_figures(ordered)
    return Verdict(figures, stage.score(figures), samples)


def show(
    verdict: Verdict, writer: RunWriter, curves: Curves | None, config: TrainConfig, step: int
) -> None:
    """Write the samples of all processes; the first one tells of them."""
    folder, window = writer.folder.samples, config.model.window
    made = [
        (case.name, write_sample(folder, step, config.stage, case, measured, window))
        for case, measured in verdict.samples
    ]
    for name, files in (one for part in distributed.gather(made) for one in part):
        writer.event("sample", step=step, files=files, case=name)
        if curves is not None:
            curves.picture(step, name, Path(files["picture"]))
