"""The folders of cases: each appears whole or not at all, and records what it was made from.

cases/ID/case.json     the record: the case or why it was skipped, and its key
cases/ID/...           CT, views, small images; none if the case was skipped
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from axon_backend.dataset.lock import FILE as LOCK_FILE
from axon_backend.errors import AxonInputError, Unfinished
from axon_backend.imaging.write import write_json
from axon_backend.util.apart import check_apart

CASES, RECORD = "cases", "case.json"
PRIVATE = "private"  # for the owner of the data only
_PART, _OLD = ".part", ".old"
ALL = "all"  # the tag of a run without shards


def make_output(
    output: str | os.PathLike[str],
    source: str | os.PathLike[str],
    ours: Sequence[str],
    kind: str,
) -> Path:
    """Create the output folder of resumable runs, with ``cases/`` and ``private/``, if missing.

    Args:
        output: the path that the user gave.
        source: the input; the output may be inside it (the scan skips it), but not the reverse.
        ours: names that identify the output of an earlier run, besides those two folders.
        kind: name of such an output with its article, for messages.

    Raises:
        AxonInputError: the output is a file, contains other files, is or contains the source, or
            cannot be written.
    """
    if not os.fspath(output).strip():
        raise AxonInputError("--output is empty. Give the name of a folder.")
    out = Path(os.path.abspath(output))
    check_apart(out, source, below=True)
    if os.path.lexists(out) and not out.is_dir():
        raise AxonInputError(f"{out} is a file; --output must be a folder. Choose another name.")
    known = (CASES, PRIVATE, *ours)
    if out.is_dir() and os.listdir(out) and not any((out / name).exists() for name in known):
        raise AxonInputError(
            f"{out} contains files that are not {kind}. Choose an empty or new --output."
        )
    try:
        (out / CASES).mkdir(parents=True, exist_ok=True)
        (out / PRIVATE).mkdir(mode=0o700, exist_ok=True)
        with suppress(OSError):  # for earlier versions' folders; may not be supported
            (out / PRIVATE).chmod(0o700)
    except OSError as error:
        raise AxonInputError(
            f"Cannot write to {out}: {error.strerror or error}. Choose another --output."
        ) from error
    return out


@contextmanager
def withdrawn_if_refused(
    output: str | os.PathLike[str], also: Sequence[str] = ()
) -> Iterator[None]:
    """Remove the folders that the block made for a new or empty output if the block raises
    `AxonInputError` before there is a case.

    ``also``: its other folders, besides those of `make_output`; they are kept if they hold files.
    """
    folder = Path(os.path.abspath(output))
    missing: list[Path] = []  # innermost first
    fresh = not os.path.lexists(folder) or (folder.is_dir() and not os.listdir(folder))
    place = folder
    while not os.path.lexists(place):
        missing.append(place)
        place = place.parent
    try:
        yield
    except AxonInputError:
        with suppress(OSError):
            if fresh:
                for name in (CASES, *also):
                    if (folder / name).exists():
                        (folder / name).rmdir()  # not if it holds anything
                shutil.rmtree(folder / PRIVATE, ignore_errors=True)
                (folder / LOCK_FILE).unlink(missing_ok=True)
                for made in missing:
                    made.rmdir()
        raise


class OutputFailed(Unfinished):
    """The output cannot be written. This affects every case, so the run stops."""


def read_record(root: Path, case: str) -> dict[str, Any] | None:
    """The record of a case, or None unless all its files exist with their recorded sizes."""
    folder = root / CASES / case
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        whole = all((folder / n).stat().st_size == size for n, size in record["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return record if whole else None


@contextmanager
def new_case(root: Path, case: str, tag: str) -> Iterator[Path]:
    """Yield a folder to fill, which replaces the case's folder when the block succeeds.

    ``tag`` names the run, so that different shards only clean up their own remains.

    Raises:
        OutputFailed: the folder cannot be written, for example because the disk is full.
    """
    home = root / CASES
    part, old = home / f"{_PART}-{tag}-{case}", home / f"{_OLD}-{tag}-{case}"
    try:
        try:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            yield part
            target = home / case
            if target.exists():
                os.rename(target, old)
            os.rename(part, target)
        except OSError as error:
            raise OutputFailed(
                f"Cannot write {home / case}: {error.strerror or error}. Check the free space and "
                "the permissions of the folder."
            ) from error
        except AxonInputError as error:  # raised by a writer
            raise OutputFailed(str(error)) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        _drop_old(old, home / case)


def _drop_old(old: Path, place: Path) -> None:
    """Remove a replaced folder, or put it back if its replacement is missing."""
    with suppress(OSError):
        if not place.exists():
            os.rename(old, place)
    shutil.rmtree(old, ignore_errors=True)


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write case.json with the sizes of all other files in the folder and below."""
    files = {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / RECORD
    }
    write_json(folder / RECORD, {**record, "files": files})


def clean(root: Path, tag: str) -> None:
    """Remove the unfinished folders of killed runs: of all runs, or of one shard."""
    home = root / CASES
    for folder in sorted(home.iterdir()) if home.is_dir() else ():
        mark, _, rest = folder.name.partition("-")
        run, _, case = rest.partition("-")
        if mark not in (_PART, _OLD) or tag not in (ALL, run):
            continue
        if mark == _OLD:
            _drop_old(folder, home / case)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def left_over(root: Path, wanted: set[str]) -> list[str]:
    """A remark on the folders of cases that the source no longer contains. They are not part of the
    data set, but are not deleted, so that a wrong source does not cost hours of work."""
    names = [f.name for f in sorted((root / CASES).iterdir()) if f.name not in wanted]
    names = [name for name in names if not name.startswith(".")]
    if not names:
        return []
    return [
        f"{len(names)} folders in {CASES}/ belong to cases that the source no longer contains: "
        f"they are not in the data set and may be deleted ({names[0]}"
        f"{', ...' if names[1:] else ''})"
    ]
