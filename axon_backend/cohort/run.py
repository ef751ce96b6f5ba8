"""Reconstruct a cohort: find the studies, skip finished ones, reconstruct the rest."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axon_backend.bundle import load_bundle
from axon_backend.cohort.page import write_summary
from axon_backend.cohort.settings import CohortSettings
from axon_backend.cohort.storage import Folder, Storage, open_storage, stamps
from axon_backend.cohort.studies import Study, find_studies
from axon_backend.cohort.work import ReconstructStudy, StudyTask, failed, unusable
from axon_backend.dataset import store
from axon_backend.dataset.lock import FILE as LOCK_FILE
from axon_backend.dataset.lock import OutputLock
from axon_backend.dataset.manifest import is_remote
from axon_backend.dataset.settings import digest
from axon_backend.errors import AxonInputError
from axon_backend.util.apart import check_apart
from axon_backend.util.pool import Pool

Progress = Callable[[str, int, int, Any], None]


@dataclass
class CohortSummary:
    """Summary of a run.

    Attributes:
        by_id: a record of every study, in the order of the source; its ``status`` is ``done``,
            ``refused`` (the input cannot be used), ``failed`` (another run may succeed) or
            ``waiting`` (not reached yet).
        settings: settings of the run.
        kept: number of studies that were already up to date.
        made: number of studies that this run reconstructed or refused.
    """

    by_id: dict[str, dict[str, Any]]
    settings: dict[str, Any]
    kept: int = 0
    made: int = 0

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records, in the order of the source."""
        return list(self.by_id.values())

    @property
    def counts(self) -> Counter[str]:
        """Studies by status."""
        return Counter(record["status"] for record in self.by_id.values())


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

    A finished study is not reconstructed again unless its files, the settings or the weights have
    changed. Each study appears whole or not at all in ``OUTPUT/cases/ID``, so a worker, a node or
    this program may be killed at any moment.

    Args:
        source: a manifest or a folder, see ``studies.find_studies``.
        output: a folder that all workers see, or a URL that fsspec writes to (``s3://...``).
        settings: None: the defaults.
        pool: pool of workers; None: this process.
        progress: called with (stage, step, total, None).
        cancelled: polled between studies; True stops the run, and finished studies are kept.

    Raises:
        AxonInputError: source, model or output cannot be used, or another run is using the output.
        Cancelled: cancelled before the studies were found.
        store.OutputFailed: the output can no longer be written; finished studies are kept.
    """
    settings = settings or CohortSettings()
    pool = pool or Pool(0, cancelled=cancelled)
    bundle = load_bundle(settings.bundle)  # refuse an unusable bundle before the work
    where = Path(os.path.abspath(source))
    with _opened(os.fspath(output), where) as (storage, memory):
        own = Path(storage.path) if isinstance(storage, Folder) else None
        studies = find_studies(
            where,
            output=own,
            memory=memory,
            pool=pool,
            progress=lambda done, total: progress("headers", done, total, None),
            cancelled=cancelled,
        )
        if own is not None:
            files = [f for study in studies for f in study.files if not is_remote(f)]
            check_apart(own, *files, below=True)
        records = {study.id: _waiting(study) for study in studies}
        tasks = _missing(studies, storage, settings, bundle.sha256, records)
        usable = sum(not study.problem for study in studies)
        summary = CohortSummary(records, settings.as_dict(), kept=usable - len(tasks))
        for task, record in _made(tasks, pool, ReconstructStudy(settings, storage), progress):
            kept = record.pop("kept", False)  # its files changed, but not their content
            records[task.study.id] = record
            summary.kept += kept
            summary.made += not kept and record["status"] != "failed"
        write_summary(storage, summary.records, summary.settings, bundle)
    return summary


def _missing(
    studies: Sequence[Study],
    storage: Storage,
    settings: CohortSettings,
    sha256: str,
    records: dict[str, dict[str, Any]],
) -> list[StudyTask]:
    """The studies to reconstruct; the records of the others are added to ``records``."""
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
    except AxonInputError:  # a URL that does not exist is reported by the worker
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
def _opened(output: str, source: Path) -> Iterator[tuple[Storage, Path | None]]:
    """The storage, locked if it is a folder, and the file that caches the source's headers."""
    if is_remote(output):
        yield open_storage(output), None
        return
    if (Path(output) / "dataset.json").exists():
        raise AxonInputError(f"{output} is a prepared data set. Choose another --output.")
    with store.withdrawn_if_refused(output):
        out = store.make_output(output, source, (LOCK_FILE,), "a cohort")
        with OutputLock(out):
            store.clean(out, store.ALL)
            yield open_storage(str(out)), out / store.PRIVATE / "scan.jsonl.gz"
