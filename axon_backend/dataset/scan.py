"""Scan a source folder: all its files with the headers needed for planning, cached between runs."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axon_backend.dataset.tags import read_tags
from axon_backend.errors import AxonInputError, Cancelled
from axon_backend.imaging.formats import extensions, registered_formats
from axon_backend.imaging.write import atomic_path
from axon_backend.util.pool import Pool

_CHUNK = 200  # files per task
_FEW = 1000  # files that are read faster than processes start
SCAN_VERSION = 2


@dataclass
class Found:
    """The files of a source.

    Attributes:
        root: the source folder.
        dicom: (path relative to the root, header) of CT and X-ray images.
        plain: relative paths of volumes and images that are not DICOM.
        damaged: (relative path, reason) of DICOM files whose header cannot be read.
        others: number of DICOM objects of other modalities, by modality.
    """

    root: Path
    dicom: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    plain: list[str] = field(default_factory=list)
    damaged: list[tuple[str, str]] = field(default_factory=list)
    others: dict[str, int] = field(default_factory=dict)


def scan(
    root: Path,
    leave_out: Path | None,
    memory: Path | None,
    pool: Pool,
    progress: Callable[[int, int], None],
    cancelled: Callable[[], bool],
) -> Found:
    """Read the headers of all files below ``root``.

    Args:
        root: the source folder.
        leave_out: a folder to skip, such as an output inside the source, or None.
        memory: file that caches headers between runs; files with unchanged size and time are not
            read again. None: no cache.
        pool: pool for reading many files.
        progress: called with (files read, files to read).
        cancelled: polled between chunks.

    Raises:
        Cancelled: ``cancelled()`` returned True.
    """
    known = {} if memory is None else _remembered(memory)
    files = list(_walk(root, leave_out))
    entries: dict[str, dict[str, Any]] = {}
    new = []
    for name, size, when in files:
        before = known.get(name)
        if before is not None and (before["size"], before["time"]) == (size, when):
            entries[name] = before
        else:
            new.append((name, size, when))
    chunks = [new[i : i + _CHUNK] for i in range(0, len(new), _CHUNK)]
    done = 0
    tasks = [(str(root), chunk) for chunk in chunks]
    reader = pool if len(new) > _FEW else Pool(0, cancelled=cancelled)
    for _task, result in reader.map(read_chunk, tasks):
        if isinstance(result, BaseException):
            raise result
        done += len(result)
        entries.update((entry["name"], entry) for entry in result)
        progress(done, len(new))
        if cancelled():
            raise Cancelled("stopped while the headers were read")
    if memory is not None and (new or len(known) != len(entries)):
        _remember(memory, [entries[name] for name, _, _ in files])
    return _sorted_out(root, [entries[name] for name, _, _ in files])


def read_chunk(task: tuple[str, list[tuple[str, int, int]]]) -> list[dict[str, Any]]:
    """Read the headers of some files; runs in a worker."""
    root, files = task
    # DICOM files are recognised by their header, whatever their name.
    plain = tuple(extensions(f for f in registered_formats().values() if f.name != "DICOM"))
    entries = []
    for name, size, when in files:
        entry: dict[str, Any] = {"name": name, "size": size, "time": when}
        if name.lower().endswith(plain):
            entry["kind"] = "plain"
        else:
            try:
                tags = read_tags(Path(root) / name)
                entry["kind"] = "other" if tags is None else "dicom"
                if tags is not None:
                    entry["tags"] = tags
            except AxonInputError as error:
                entry.update(kind="damaged", why=str(error))
        entries.append(entry)
    return entries


def _walk(root: Path, leave_out: Path | None) -> Iterator[tuple[str, int, int]]:
    """(relative path, size, time) of every file, in a fixed order; links are followed once."""
    seen: set[str] = set()
    skip = None if leave_out is None else os.path.realpath(leave_out)
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen or real == skip:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(names):
            path = os.path.join(folder, name)
            try:
                stat = os.stat(path)
            except OSError:
                continue  # a broken link, or deleted in the meantime
            if not name.startswith(".") and os.path.isfile(path):
                yield Path(path).relative_to(root).as_posix(), stat.st_size, stat.st_mtime_ns


def _sorted_out(root: Path, entries: list[dict[str, Any]]) -> Found:
    found = Found(root)
    for entry in entries:
        name, kind = entry["name"], entry["kind"]
        if kind == "plain":
            found.plain.append(name)
        elif kind == "damaged":
            found.damaged.append((name, entry["why"]))
        elif kind == "dicom":
            tags = entry["tags"]
            if len(tags) > 1:
                found.dicom.append((name, tags))
            else:
                modality = tags["Modality"]
                found.others[modality] = found.others.get(modality, 0) + 1
    return found


def _remembered(memory: Path) -> dict[str, dict[str, Any]]:
    try:
        with gzip.open(memory, "rt", encoding="utf-8") as stream:
            if json.loads(next(stream)).get("version") != SCAN_VERSION:
                return {}
            return {entry["name"]: entry for entry in map(json.loads, stream)}
    except (OSError, ValueError, KeyError, StopIteration, EOFError, AttributeError):
        return {}  # missing or of another version: the files are read again


def _remember(memory: Path, entries: list[dict[str, Any]]) -> None:
    head = {
        "version": SCAN_VERSION,
        "note": "names and tags of the source's files; leave this folder out when you share data",
    }
    with (
        atomic_path(memory) as temporary,
        gzip.open(temporary, "wt", encoding="utf-8", compresslevel=4) as stream,
    ):
        for line in (head, *entries):
            stream.write(json.dumps(line, separators=(",", ":")) + "\n")
