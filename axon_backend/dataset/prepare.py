"""From a source to a data set: scan, plan, split, prepare missing cases, assemble."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from axon_backend.dataset import store
from axon_backend.dataset.assemble import assemble, outline, remember
from axon_backend.dataset.case import CaseTask, prepare_case
from axon_backend.dataset.inputs import fingerprint, plan_key
from axon_backend.dataset.lock import FILE as LOCK_FILE
from axon_backend.dataset.lock import OutputLock
from axon_backend.dataset.manifest import read_rows
from axon_backend.dataset.plan import CasePlan, numbered, plan_folder, plan_rows
from axon_backend.dataset.report import Line
from axon_backend.dataset.review import read_review
from axon_backend.dataset.scan import scan
from axon_backend.dataset.settings import PrepareSettings
from axon_backend.dataset.split_file import SPLITS_FILE, draw_splits, settle_splits
from axon_backend.errors import AxonInputError, Unfinished, reason_of
from axon_backend.imaging.write import write_json
from axon_backend.util.apart import check_apart
from axon_backend.util.input_file import check_input
from axon_backend.util.pool import Pool, import_ray

_MANIFESTS = (".csv", ".json")
Progress = Callable[[str, int, int, Any], None]


@dataclass
class Summary:
    """Summary of a run.

    Attributes:
        lines: all cases with their status.
        made: number of cases prepared by this run.
        kept: number of cases that were already up to date.
        stopped: whether the run was stopped before the end.
        whole: False for a shard that finished before others; the data set is not assembled.
        failed: by id, cases that failed in a way that another run may fix.
    """

    lines: list[Line]
    made: int = 0
    kept: int = 0
    stopped: bool = False
    whole: bool = True
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> Counter[str]:
        """Cases by status."""
        return Counter(line.status for line in self.lines)


def prepare(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    settings: PrepareSettings | None = None,
    *,
    workers: int = 1,
    ray: bool = False,
    shard: tuple[int, int] | None = None,
    progress: Progress = lambda stage, step, total, preview: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Summary:
    """Prepare a data set, or bring one up to date.

    Args:
        source: a folder (DICOM in any layout, or plain files, see ``names``), or a manifest (CSV
            or JSON, see ``manifest``).
        output: the data set's folder; created if missing.
        settings: see :class:`PrepareSettings`; None: the defaults.
        workers: number of processes; 0 uses this process.
        ray: use a Ray cluster instead of processes.
        shard: (i, n), i from 1: prepare only the i-th of n parts of the cases. Shards may run
            concurrently; the last one to finish assembles the data set.
        progress: called with (stage, step, total, None).
        cancelled: polled between cases; True stops the run, and finished cases are kept.

    Raises:
        AxonInputError: the source or output cannot be used, or another run is using the output.
        Cancelled: cancelled before any case was finished.
        store.OutputFailed: the output can no longer be written; finished cases are kept.
    """
    settings = settings or PrepareSettings()
    if not str(output).strip():
        raise AxonInputError("--output is empty. Give the name of a folder.")
    root = _check_source(source)
    if settings.teacher is not None:
        settings = _with_teacher(settings, root == Path(os.path.abspath(source)))
    if ray:
        import_ray()
    ours = (SPLITS_FILE, "dataset.json", LOCK_FILE, "review.json")
    with nullcontext() if shard else store.withdrawn_if_refused(output):
        out = store.make_output(output, source, ours, "a data set")
        return _prepare(source, root, out, settings, workers, ray, shard, progress, cancelled)


def _prepare(
    source: str | os.PathLike[str],
    root: Path,
    out: Path,
    settings: PrepareSettings,
    workers: int,
    ray: bool,
    shard: tuple[int, int] | None,
    progress: Progress,
    cancelled: Callable[[], bool],
) -> Summary:
    number = None if shard is None else shard[0] - 1
    tag = store.ALL if shard is None else f"{shard[0]}of{shard[1]}"
    with OutputLock(out, number):
        _check_names(out, settings)
        read_review(out)  # refuse an invalid review before the work, not after it
        store.clean(out, tag)
        pool = Pool(workers, ray, cancelled)
        plans, remarks = _plan(Path(source), root, out, settings, pool, progress, cancelled)
        _check_stated(settings, plans)
        splits = draw_splits(out, plans, settings.seed)
        mine = [p for p in plans if not p.problem]
        if shard is not None:
            mine = mine[shard[0] - 1 :: shard[1]]
        summary = Summary([])
        tasks = _missing(mine, settings, root, out, tag)
        summary.kept = len(mine) - len(tasks)
        stale = {task.plan.id for task in tasks}
        for task, result in _make(tasks, pool, progress):
            if isinstance(result, BaseException):
                summary.failed[task.plan.id] = _reason(result, settings.anonymise)
            else:
                stale.discard(task.plan.id)
                summary.made += 1
        summary.stopped = summary.made + len(summary.failed) < len(tasks)
        current = {p.id for p in mine} - stale
        for plan in plans:
            if shard is not None and plan not in mine:  # belongs to another shard
                record = store.read_record(out, plan.id)
                if record is not None and record.get("plan_key") == plan_key(plan, settings):
                    current.add(plan.id)
        summary.whole = shard is None or all(p.problem or p.id in current for p in plans)
        if summary.whole and not (summary.stopped or summary.failed):
            splits = settle_splits(out, plans, splits, settings.seed)
        if summary.whole or summary.failed:
            remarks += store.left_over(out, {p.id for p in plans})
            rows = outline(plans, current, summary.failed, splits, settings)
            try:
                remember(out, rows, remarks, settings.as_dict())
                summary.lines = assemble(out, rows, settings, remarks)
            except AxonInputError as error:  # raised by a writer
                raise store.OutputFailed(str(error)) from error
    return summary


def _with_teacher(settings: PrepareSettings, folder: bool) -> PrepareSettings:
    """The settings with the hash of the model that reconstructs patients without a CT."""
    from axon_backend.bundle import load_bundle

    if folder:
        raise AxonInputError(
            "--teacher needs a manifest: list the patients without a CT in it, with their frontal "
            "and lateral X-ray."
        )
    bundle = load_bundle(settings.teacher)
    return replace(settings, teacher_sha256=bundle.sha256)


def _check_source(source: str | os.PathLike[str]) -> Path:
    """Check the source; returns the folder that its paths are relative to."""
    check_input(source)
    path = Path(os.path.abspath(source))
    if path.is_dir():
        return path
    if not path.exists():
        raise AxonInputError(f"{path} does not exist. Give a folder of images, or a manifest.")
    if path.suffix.lower() not in _MANIFESTS:
        raise AxonInputError(
            f"{path} is neither a folder nor a manifest ({', '.join(_MANIFESTS)}). Give a folder "
            "of images, or a manifest."
        )
    return path.parent


def _plan(
    source: Path,
    root: Path,
    out: Path,
    settings: PrepareSettings,
    pool: Pool,
    progress: Progress,
    cancelled: Callable[[], bool],
) -> tuple[list[CasePlan], list[str]]:
    remarks = []
    if source.is_dir():
        found = scan(
            root, out, out / store.PRIVATE / "scan.jsonl.gz", pool,
            lambda done, total: progress("headers", done, total, None), cancelled,
        )  # fmt: skip
        plans = plan_folder(found, settings.max_days)
        if not plans:
            others = ", ".join(f"{n} {m}" for m, n in sorted(found.others.items()))
            raise AxonInputError(
                f"{source} contains no CT and no X-ray{f' (but {others})' if others else ''}. Give "
                "the folder with the patients' images, or a manifest."
            )
        for name, why in found.damaged[:100]:
            shown = "a file" if settings.anonymise else name
            remarks.append(f"damaged: {shown}: {why}")
        if len(found.damaged) > 100:
            remarks.append(f"and {len(found.damaged) - 100} more damaged files")
    else:
        rows = read_rows(source, teacher=settings.teacher is not None)
        check_apart(out, *(f for row in rows for f in row.files), below=True)
        plans = plan_rows(rows)
    if settings.anonymise:
        plans = _anonymous(plans, out, settings)
    return plans, remarks


def _anonymous(plans: list[CasePlan], out: Path, settings: PrepareSettings) -> list[CasePlan]:
    """The plans with numbers for names; a patient keeps the number of an earlier run."""
    path = out / store.PRIVATE / "numbers.json"
    numbers = _read_json(path).get("numbers", {})
    count = len(numbers)
    plans = numbered(plans, numbers, settings.seed)
    if len(numbers) > count:
        note = "the patients' numbers; remove this folder before sharing the data"
        write_json(path, {"note": note, "numbers": numbers})
    return plans


def _missing(
    plans: list[CasePlan], settings: PrepareSettings, root: Path, out: Path, tag: str
) -> list[CaseTask]:
    tasks = []
    for plan in plans:
        inputs, key = fingerprint(plan, root), plan_key(plan, settings)
        record = store.read_record(out, plan.id)
        current = record is not None and (record.get("inputs"), record.get("plan_key")) == (
            inputs,
            key,
        )
        if not current:
            tasks.append(CaseTask(plan, settings, str(root), str(out), tag, inputs, key))
    return tasks


def _make(
    tasks: list[CaseTask], pool: Pool, progress: Progress
) -> Iterator[tuple[CaseTask, dict[str, Any] | BaseException]]:
    if tasks:
        progress("cases", 0, len(tasks), None)
    for done, (task, result) in enumerate(pool.map(prepare_case, tasks), 1):
        if isinstance(result, store.OutputFailed):
            raise result
        yield task, result
        progress("cases", done, len(tasks), None)


def _reason(error: BaseException, anonymise: bool) -> str:
    if not anonymise:
        return reason_of(error)
    known = isinstance(error, AxonInputError | Unfinished)
    return "its input cannot be used" if known else type(error).__name__


def _check_stated(settings: PrepareSettings, plans: list[CasePlan]) -> None:
    ids = {plan.id for plan in plans}
    for name in settings.stated:
        case, _, role = name.rpartition("/")
        if case and case not in ids:
            raise AxonInputError(
                f"{name} refers to an X-ray of the case {case}, which does not exist. The cases "
                "are listed in report.csv."
            )


def _check_names(out: Path, settings: PrepareSettings) -> None:
    before = _read_json(out / "dataset.json").get("settings")
    if isinstance(before, dict) and before.get("anonymise") != settings.anonymise:
        raise AxonInputError(
            f"{out} was prepared {'with' if settings.anonymise is False else 'without'} "
            "--anonymise; names and numbers must not be mixed. Choose another --output."
        )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
