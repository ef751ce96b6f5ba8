"""A folder of studies, reconstructed one after the other."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from axon_backend.errors import AxonInputError, Cancelled, PoorRegistration
from axon_backend.evaluation.case_output import case_files, write_case, write_refused
from axon_backend.imaging.write import write_text
from axon_backend.inference.session import InferenceSession
from axon_backend.inference.study import Study
from axon_backend.util.output_folder import output_folder
from axon_backend.util.plain_text import no_formula
from axon_backend.util.run_context import RunContext

TABLE = "results.csv"
DONE, REFUSED, FAILED = "done", "refused", "failed"


@dataclass(frozen=True)
class BatchRow:
    """What became of one study.

    Attributes:
        study: its name, and that of its folder.
        status: ``done``, ``refused`` (poor registration) or ``failed``.
        views: number of X-rays.
        stage: the last one.
        psnr, ssim: of it against the CT; None without a CT.
        agreement: lowest agreement of the result with an X-ray; 1 is perfect.
        seconds: of the run.
        reason: why it was refused or failed, or notes.
    """

    study: str
    status: str
    views: int
    stage: str = ""
    psnr: float | None = None
    ssim: float | None = None
    agreement: float | None = None
    seconds: float | None = None
    reason: str = ""


def reconstruct_studies(
    studies: Sequence[Study],
    output: Path,
    session: InferenceSession,
    *,
    stages: tuple[str, ...] | str | None = None,
    steps: Mapping[str, int] | Sequence[int] | None = None,
    samples: int = 1,
    allow_poor: bool = False,
    context: RunContext | None = None,
    row_done: Callable[[BatchRow], None] | None = None,
) -> list[BatchRow]:
    """Reconstruct every study into a folder of its own in ``output``, as ``axon reconstruct`` does,
    and list them in ``results.csv``. A study that is there already is not repeated; one that fails
    is listed with the reason, and the others are still processed.

    Args:
        studies: from ``inference.study.find_studies``.
        output: made where missing.
        session: with the model.
        stages, steps, samples, allow_poor: see ``inference.reconstruct``.
        context: seed, progress (its stages begin with the study's name), cancelling.
        row_done: called with each row.

    Raises:
        AxonInputError: the output cannot be written, or the settings do not fit the model.
        Cancelled: ``context.cancelled()`` was true; finished studies are kept.
    """
    context = context or RunContext()
    session.stages(stages)
    session.steps(steps)
    rows: list[BatchRow] = []
    for study, name in zip(studies, _names(studies), strict=True):
        folder = output / name
        row = _known(folder, name, study)
        if row is None:
            label = f"{name} ({len(rows) + 1} of {len(studies)}) "
            try:
                row = _one(
                    study,
                    name,
                    folder,
                    session,
                    _labelled(context, label),
                    stages=stages,
                    steps=steps,
                    samples=samples,
                    allow_poor=allow_poor,
                )
            except (Cancelled, KeyboardInterrupt):
                raise
            except Exception as error:
                text = " ".join(str(error).split()) or "no further explanation"
                kind = "" if isinstance(error, AxonInputError) else f"{type(error).__name__}: "
                row = BatchRow(name, FAILED, study.views, reason=kind + text)
        rows.append(row)
        if output.is_dir():
            write_text(output / TABLE, table(rows))
        if row_done is not None:
            row_done(row)
    return rows


def table(rows: Sequence[BatchRow]) -> str:
    """The rows as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [field.name for field in fields(BatchRow)]
    writer.writerow(names)
    for row in rows:
        values = asdict(row)
        cells = ("" if values[name] is None else values[name] for name in names)
        writer.writerow([no_formula(str(cell)) for cell in cells])
    return text.getvalue()


def _one(
    study: Study,
    name: str,
    folder: Path,
    session: InferenceSession,
    context: RunContext,
    **settings: Any,
) -> BatchRow:
    began = time.perf_counter()
    with output_folder(folder, case_files(), False, (study.frontal, study.lateral)) as work:
        try:
            result = session.reconstruct(
                study.frontal, study.lateral, ct=study.ct, context=context, **settings
            )
            if result.cancelled:
                raise Cancelled(f"stopped in stage {result.cancelled}")
            record = write_case(work, result, cancelled=context.cancelled)
        except PoorRegistration as poor:
            write_refused(work, poor)
            return BatchRow(name, REFUSED, study.views, reason=str(poor))
    return _row(name, study, record, time.perf_counter() - began)


def _known(folder: Path, name: str, study: Study) -> BatchRow | None:
    """The row of a study that an earlier run completed."""
    try:
        record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        if "refused" in record:
            return BatchRow(name, REFUSED, study.views, reason=str(record["refused"]))
        return _row(name, study, record, sum(record["seconds"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _row(name: str, study: Study, record: Mapping[str, Any], seconds: float) -> BatchRow:
    stage = record["stages"][-1]["name"]
    metrics = (record.get("metrics") or {}).get(stage, {})
    agreements = (record.get("reprojection") or {}).values()
    return BatchRow(
        name,
        DONE,
        len(record["registration"]),
        stage,
        metrics.get("psnr"),
        metrics.get("ssim3d_gauss11"),
        min(agreements, default=None),
        round(seconds, 1),
        " ".join([*study.notes, *record.get("warnings", ())]),
    )


def _labelled(context: RunContext, label: str) -> RunContext:
    def progress(stage: str, step: int, total: int, preview: Any) -> None:
        context.report(label + stage, step, total, preview)

    return context.with_progress(progress)


def _names(studies: Sequence[Study]) -> Iterator[str]:
    """Names of folders that every file system takes, each once."""
    used: set[str] = set()
    for study in studies:
        plain = re.sub(r"[^\w.-]+", "_", study.name).strip("._-")[:80] or "study"
        name, number = plain, 2
        while name.lower() in used:
            name, number = f"{plain}_{number}", number + 1
        used.add(name.lower())
        yield name
