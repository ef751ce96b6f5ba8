"""Detect changes in the input of a case: first by size and time, then by content."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from axon_backend.dataset.plan import CasePlan
from axon_backend.dataset.settings import CASE_VERSION, PrepareSettings, digest
from axon_backend.util.hashing import file_sha256


def fingerprint(plan: CasePlan, root: Path) -> str:
    """A hash of the names, sizes and times of a case's files; cheap, and changes with every
    ordinary write."""
    rows = []
    for path in _files(plan):
        try:
            stat = os.stat(path)
            rows.append([os.path.relpath(path, root), stat.st_size, stat.st_mtime_ns])
        except OSError:
            rows.append([os.path.relpath(path, root), -1, -1])
    return digest(rows)


def case_key(plan: CasePlan, settings: PrepareSettings, more: int = 0) -> str:
    """A hash of everything that a case depends on: content of its input, settings, version.

    ``more`` is the number of further CT series that were read after the best one.
    """
    xrays = [[x.role, x.view, x.days, x.oriented, _content(Path(x.file))] for x in plan.xrays]
    series = [plan.ct, *(files for _, files in plan.ct_others[:more])]
    ct = [_content(Path(path)) for files in series for path in files]
    named = [plan.id, plan.sliced, plan.ct_words]
    return digest([CASE_VERSION, named, ct, xrays, settings.of_case(plan.id, plan.pseudo_labelled)])


def plan_key(plan: CasePlan, settings: PrepareSettings) -> str:
    """The part of the key that can be computed without reading files."""
    xrays = [[x.role, x.view, x.days, x.oriented] for x in plan.xrays]
    values = settings.of_case(plan.id, plan.pseudo_labelled)
    return digest([CASE_VERSION, plan.id, plan.sliced, plan.ct_words, xrays, values])


def _files(plan: CasePlan) -> Iterator[Path]:
    others = (name for _, files in plan.ct_others for name in files)
    for name in (*plan.ct, *others, *(x.file for x in plan.xrays)):
        path = Path(name)
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.is_file())
        else:
            yield path


def _content(path: Path) -> Any:
    """The SHA-256 of a file, or the names and hashes of all files below a folder."""
    if path.is_dir():
        return [[p.name, file_sha256(p)] for p in sorted(path.rglob("*")) if p.is_file()]
    return file_sha256(path)
