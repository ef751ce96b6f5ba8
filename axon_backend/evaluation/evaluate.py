"""``axon evaluate``: a method against the true CT, case by case, with one view and with two."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axon_backend import __version__
from axon_backend.bundle import Bundle
from axon_backend.errors import AxonInputError, Cancelled
from axon_backend.evaluation.manifest import ManifestCase
from axon_backend.evaluation.tables import write_metrics_csv, write_metrics_markdown
from axon_backend.imaging.ct import read_ct
from axon_backend.imaging.write import write_text
from axon_backend.inference.session import InferenceSession
from axon_backend.util.plain_text import no_formula, no_markdown, without_folders
from axon_backend.util.run_context import Progress, RunContext

EVALUATION_FILES = ("metrics.csv", "metrics.md", "failures.csv")


@dataclass
class EvaluationResult:
    """Rows of ``metrics.csv`` (see ``tables``), failed cases as (id, reason), the
    ``settings`` of the run, and the source of each case's X-rays (``inputs``)."""

    rows: list[dict] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)


def evaluate_cases(
    cases: Sequence[ManifestCase],
    *,
    bundle: str | Path | Bundle | None = None,
    stages: tuple[str, ...] | None = None,
    steps: Mapping[str, int] | Sequence[int] | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> EvaluationResult:
    """Reconstruct every case from its frontal view, then from both views.

    Each stage is compared with the CT at the stage's own resolution, in the frame found in the
    CT. The bundle's atlas (the mean training volume), the floor that a method must beat, is
    measured too, at the first stage's resolution: its rows for one and two views are equal, so
    that tables pair. Metrics are computed on [0, 1] after the bundle's HU window.

    A case that fails is listed with the reason; the remaining cases are still processed.

    Raises:
        AxonInputError: the bundle or the device cannot be used.
        Cancelled: ``cancelled()`` was true.
    """
    session = InferenceSession(bundle, device)
    session.stages(stages)
    bundle = session.bundle
    result = EvaluationResult(
        settings={
            "AXON": __version__,
            "bundle": f"{bundle.name} {bundle.version}, SHA-256 {bundle.sha256}",
            "seed": str(seed),
            "steps": str(steps) if steps else "the bundle's",
        }
    )
    for number, case in enumerate(cases):
        label = f"{case.id} ({number + 1} of {len(cases)})"

        def tell(stage: str, step: int, total: int, preview: Any, label: str = label) -> None:
            if progress is not None and not stage.endswith("read"):
                progress(f"{label} {stage}", step, total, preview)

        try:
            rows = _evaluate_case(
                case,
                session,
                RunContext(seed, device, tell, cancelled),
                stages=stages,
                steps=steps,
            )
        except (Cancelled, KeyboardInterrupt):
            raise
        except Exception as error:
            text = " ".join(str(error).split()) or "no further explanation"
            kind = "" if isinstance(error, AxonInputError) else f"{type(error).__name__}: "
            result.failures.append((case.id, without_folders(kind + text, case.files)))
            continue
        result.rows += rows
        result.inputs[case.id] = ", ".join(
            f"{role} {'DRR' if file is None else 'X-ray'}"
            for role, file in (("frontal", case.frontal), ("lateral", case.lateral))
        )
    return result


def _evaluate_case(
    case: ManifestCase, session: InferenceSession, context: RunContext, **settings: Any
) -> list[dict]:
    ct = read_ct(case.ct)
    rows: list[dict] = []
    for views in (1, 2):

        def tell(stage: str, step: int, total: int, preview: Any, views: int = views) -> None:
            context.report(f"{views}-view {stage}", step, total, preview)

        found = session.reconstruct(
            case.frontal,
            case.lateral if views == 2 else None,
            ct=ct,
            render_lateral=views == 2,
            allow_poor=True,  # excluding what fails would make the metrics too good
            context=context.with_progress(tell),
            **settings,
        )
        if found.cancelled:
            raise Cancelled(f"stopped in stage {found.cancelled}")
        for stage, values in found.record["metrics"].items():
            rows.append(_row(case.id, session.info.name, stage, views, values))
        rows.append(_row(case.id, "atlas_mean", "", views, found.record["atlas_mean"]))
    return rows


def _row(case_id: str, method: str, stage: str, views: int, values: dict[str, float]) -> dict:
    return {
        "id": case_id, "method": method, "stage": stage, "views": views, **values,
    }  # fmt: skip


def write_evaluation(folder: Path, result: EvaluationResult) -> None:
    """Write ``metrics.csv``, ``metrics.md`` and, where cases failed, ``failures.csv``."""
    write_metrics_csv(folder / "metrics.csv", result.rows)
    notes = [
        f"Cases: {len(result.inputs)} measured, {len(result.failures)} failed.",
        _section("Settings", result.settings.items()),
        _section("Inputs", result.inputs.items()),
    ]
    if result.failures:
        text = io.StringIO()
        rows = [("id", "reason"), *result.failures]
        csv.writer(text, lineterminator="\n").writerows([map(no_formula, row) for row in rows])
        write_text(folder / "failures.csv", text.getvalue())
        notes.append(_section("Failed", result.failures))
    write_metrics_markdown(folder / "metrics.md", result.rows, notes)


def _section(title: str, lines: Iterable[tuple[str, str]]) -> str:
    return "\n".join(
        [f"## {title}", "", *(f"- {no_markdown(k)}: {no_markdown(v)}" for k, v in lines)]
    )
