"""Reconstructing a cohort: find the studies, leave out what is there, make the rest."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axon_backend.bundle import load_bundle
from axon_backend.cohort.page import write_summary
from axon_backend.cohort.settings import CohortSettings
from axon_backend.cohort.storage import Folder, Storage, open_storage, stamps
from axon_backend.cohort.studies import Study, find_studies
from axon_backend.cohort.work import ReconstructStudy, StudyTask, failed, unusable
from axon_backend.dataset import store
from axon_backend.dataset.lock import OutputLock
from axon_backend.dataset.manifest import is_url
from axon_backend.dataset.settings import digest
from axon_backend.errors import AxonInputError
from axon_backend.util.apart import check_apart
from axon_backend.util.pool import Pool

PRIVATE = "private"
Progress = Callable[[str, int, int, Any], None]


@dataclass
class CohortSummary:
    """What a run did.

    Attributes:
        records: of every study, in the order of the source; its ``status`` is ``done``,
            ``refused`` (the input cannot be used), ``failed`` (another run may make it) or
            ``waiting`` (not reached).
        made: studies that this run reconstructed or refused.
        kept: studies that were there already.
        seconds: the whole run.
    """

    records: list[dict[str, Any]]
    made: int = 0
    kept: int = 0
    seconds: float = 0.0
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def fates(self) -> Counter[str]:
        """Studies by status."""
        return Counter(record["status"] for record in self.records)


def reconstruct_cohort(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    settings: CohortSettings | None = None,
    *,
    pool: Pool | None = None,
    progress: Progress = lambda stage, step, total, preview: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> CohortSummary:
    """Reconstruct every study of a source; run again to resume.

    A study that is there already is not made again, unless its files, the settings or the weights
    changed. Each appears whole or not at all in ``OUTPUT/cases/ID``, so a worker, a node or this
    program may die at any moment.

    Args:
        source: a manifest or a folder, see ``studies.find_studies``.
        output: a folder that all workers see, or a URL that fsspec writes to (``s3://...``).
        settings: None is the default.
        pool: where the studies are reconstructed; None is this process.
        progress: called with (stage, step, total, None).
        cancelled: polled between studies; True stops the run, and finished studies are kept.

    Raises:
        AxonInputError: source, model or output cannot be used, or another run has the output.
        Cancelled: cancelled before the studies were found.
        store.OutputFailed: the output can no longer be written; finished studies are kept.
    """
    settings = settings or CohortSettings()
    began = time.monotonic()
    pool = pool or Pool(0, cancelled=cancelled)
    bundle = load_bundle(settings.bundle)  # a wrong one is refused before the work
    where = Path(os.path.abspath(source))
    with _opened(os.fspath(output), where) as (storage, memory):
        own = Path(storage.path) if isinstance(storage, Folder) else where / "\0"
        studies = find_studies(
            where,
            output=own,
            memory=memory,
            progress=lambda done, total: progress("headers", done, total, None),
            cancelled=cancelled,
        )
        if isinstance(storage, Folder):
            files = [f for study in studies for f in study.files if not is_url(f)]
            check_apart(own, *files, below=True)
        summary = CohortSummary([], settings=settings.as_dict())
        records = {study.id: _waiting(study) for study in studies}
        tasks = _missing(studies, storage, settings, bundle.sha256, records)
        summary.kept = sum(r["status"] in ("done", "refused") for r in records.values())
        try:
            for task, record in _made(tasks, pool, ReconstructStudy(settings, storage), progress):
                records[task.study.id] = record
                summary.made += record["status"] != "failed"
        finally:
            summary.records = list(records.values())
            summary.seconds = time.monotonic() - began
            write_summary(storage, summary.records, summary.settings, bundle)
    return summary


def _missing(
    studies: Sequence[Study],
    storage: Storage,
    settings: CohortSettings,
    sha256: str,
    records: dict[str, dict[str, Any]],
) -> list[StudyTask]:
    """The studies that are to be made; the records of the others are put into ``records``."""
    tasks = []
    for study in studies:
        if study.problem:
            records[study.id] = unusable(study)
            continue
        mark = digest([settings.of_case, sha256, list(study.notes), _stamps(study)])
        found = storage.record(study.id)
        if found is not None and found.get("stamps") == mark:
            records[study.id] = found
        else:
            tasks.append(StudyTask(study, mark))
    return tasks


def _stamps(study: Study) -> list[Any]:
    try:
        return [[x.role, x.view] for x in study.xrays] + stamps(study.files)
    except AxonInputError:  # a URL that leads nowhere: the worker says so
        return []


def _made(
    tasks: list[StudyTask], pool: Pool, function: ReconstructStudy, progress: Progress
) -> Iterator[tuple[StudyTask, dict[str, Any]]]:
    if tasks:
        progress("studies", 0, len(tasks), None)
    for done, (task, result) in enumerate(pool.map(function, tasks), 1):
        if isinstance(result, store.OutputFailed):
            raise result
        if isinstance(result, BaseException):
            result = failed(task, result)
        yield task, result
        progress("studies", done, len(tasks), None)


def _waiting(study: Study) -> dict[str, Any]:
    return {"id": study.id, "status": "waiting", "reason": "not reached", "seconds": None}


@contextmanager
def _opened(output: str, source: Path) -> Iterator[tuple[Storage, Path]]:
    """The storage, locked where it is a folder, and where to remember the source's headers."""
    if not output.strip():
        raise AxonInputError("--output is empty. Give the name of a folder.")
    if is_url(output):
        yield open_storage(output), source / "\0"  # remembers nothing
        return
    out = Path(os.path.abspath(output))
    check_apart(out, source, below=True)  # the search leaves the output out
    if os.path.lexists(out) and not out.is_dir():
        raise AxonInputError(f"{out} is a file, --output is a folder. Choose another name.")
    ours = (store.CASES, PRIVATE, "prepare.lock")
    if out.is_dir() and os.listdir(out) and not any((out / name).exists() for name in ours):
        raise AxonInputError(
            f"{out} contains files that are not a cohort. Choose an empty or new --output."
        )
    if (out / "dataset.json").exists():
        raise AxonInputError(f"{out} is a prepared data set. Choose another --output.")
    try:
        (out / store.CASES).mkdir(parents=True, exist_ok=True)
        (out / PRIVATE).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise AxonInputError(
            f"Cannot write to {out}: {error.strerror or error}. Choose another --output."
        ) from error
    with OutputLock(out):
        store.clean(out, store.ALL)
        yield open_storage(str(out)), out / PRIVATE / "scan.jsonl.gz"
