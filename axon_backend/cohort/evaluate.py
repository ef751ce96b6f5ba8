"""Evaluate many cases in parallel: workers store the results, from which the tables are then made
as in a single process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axon_backend.dataset.case import single_thread
from axon_backend.errors import Cancelled, reason_of
from axon_backend.evaluation.evaluate import (
    EvaluationResult,
    cases_for_figures,
    evaluate_cases,
)
from axon_backend.evaluation.manifest import ManifestCase
from axon_backend.util.pool import Pool
from axon_backend.util.run_context import Progress


@dataclass(frozen=True)
class CaseTask:
    """A case, and whether it is shown in figures."""

    case: ManifestCase
    shown: bool


@dataclass(frozen=True)
class EvaluateCase:
    """Measures one case and stores its results in the folder of the evaluation.

    Attributes:
        folder: the folder, which all workers must see.
        settings: the other arguments of ``evaluate_cases``, without ``figures``.
    """

    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)

    def __call__(self, task: CaseTask) -> None:
        single_thread()
        evaluate_cases([task.case], folder=self.folder, figures=int(task.shown), **self.settings)


def evaluate_cohort(
    cases: Sequence[ManifestCase],
    *,
    pool: Pool,
    folder: Path,
    figures: int = 0,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    **settings: Any,
) -> EvaluationResult:
    """``evaluation.evaluate.evaluate_cases`` with the cases spread over workers.

    Args:
        cases: cases of a manifest.
        pool: pool of workers.
        folder: folder of stored results, which all workers must see.
        figures: as for ``evaluate_cases``.
        progress: called with the stage ``cases``, then as by ``evaluate_cases``.
        cancelled: polled between cases.
        settings: the other arguments of ``evaluate_cases``.

    Returns:
        As ``evaluate_cases``. A case whose worker died or that took too long is listed as failed.

    Raises:
        AxonInputError: as for ``evaluate_cases``.
        Cancelled: ``cancelled()`` returned True; finished results are stored.
    """
    lost: dict[str, str] = {}
    if progress is not None:
        progress("cases", 0, len(cases), None)
    shown = cases_for_figures(cases, figures)
    tasks = [CaseTask(case, case.id in shown) for case in cases]
    for done, (task, result) in enumerate(pool.map(EvaluateCase(folder, settings), tasks), 1):
        if isinstance(result, BaseException):
            lost[task.case.id] = reason_of(result)
        if progress is not None:
            progress("cases", done, len(cases), None)
    if cancelled is not None and cancelled():
        raise Cancelled("stopped while the cases were evaluated")
    # Stored results are only read; cases that failed fail again, which gives the reason.
    rest = [case for case in cases if case.id not in lost]
    result = evaluate_cases(
        rest,
        folder=folder,
        figures=figures,
        progress=progress,
        cancelled=cancelled,
        **settings,
    )
    result.failures += lost.items()
    return result
