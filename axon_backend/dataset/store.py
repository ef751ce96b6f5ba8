"""The folders of cases: each appears whole or not at all, and says what it was made from.

cases/ID/case.json     the record: what the case is, or why there is none, and its key
cases/ID/...           CT, views, small images; none where the case was skipped
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from axon_backend.errors import AxonInputError, Unfinished
from axon_backend.imaging.write import write_json
from axon_backend.util.apart import check_apart

CASES, RECORD = "cases", "case.json"
PRIVATE = "private"  # what only the owner of the data may see
_PART, _OLD = ".part", ".old"
ALL = "all"  # the tag of a run that is no shard


def make_output(
    output: str | os.PathLike[str],
    source: str | os.PathLike[str],
    ours: Sequence[str],
    kind: str,
) -> Path:
    """The folder of an output that many runs fill, with ``cases/`` and ``private/``; made where
    missing.

    Args:
        output: as the user gave it.
        source: what is read; neither may lie in the other, but for an output below the source,
            which the search leaves out.
        ours: names by which an earlier run is known, beside those two folders.
        kind: what an earlier run made, with its article.

    Raises:
        AxonInputError: it is a file, holds something else, is or contains the source, or cannot be
            written.
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
        with suppress(OSError):  # made by an earlier version; a file system without such rights
            (out / PRIVATE).chmod(0o700)
    except OSError as error:
        raise AxonInputError(
            f"Cannot write to {out}: {error.strerror or error}. Choose another --output."
        ) from error
    return out


class OutputFailed(Unfinished):
    """The output cannot be written: no case can be, so the run stops."""


def read_record(root: Path, case: str) -> dict[str, Any] | None:
    """The record of a case whose files are all there in their size; None otherwise."""
    folder = root / CASES / case
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        whole = all((folder / n).stat().st_size == size for n, size in record["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return record if whole else None


@contextmanager
def new_case(root: Path, case: str, tag: str) -> Iterator[Path]:
    """A folder to fill; when the block ends well it takes the place of the case's folder.

    ``tag`` names the run, so that runs on different shards clean up only after themselves.

    Raises:
        OutputFailed: it cannot be written, for example because the disk is full.
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
        except AxonInputError as error:  # of a writer
            raise OutputFailed(str(error)) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        _drop_old(old, home / case)


def _drop_old(old: Path, place: Path) -> None:
    """Remove what was replaced; put it back where its successor did not arrive."""
    with suppress(OSError):
        if not place.exists():
            os.rename(old, place)
    shutil.rmtree(old, ignore_errors=True)


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write case.json with the sizes of the files beside it, and below."""
    files = {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / RECORD
    }
    write_json(folder / RECORD, {**record, "files": files})


def clean(root: Path, tag: str) -> None:
    """Remove what killed runs left half-done: of all runs, or of one shard."""
    home = root / CASES
    for folder in sorted(home.iterdir()) if home.is_dir() else ():
        mark, _, rest = folder.name.partition("-")
        whose, _, case = rest.partition("-")
        if mark not in (_PART, _OLD) or tag not in (ALL, whose):
            continue
        if mark == _OLD:
            _drop_old(folder, home / case)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def left_over(root: Path, wanted: set[str]) -> list[str]:
    """A remark on folders of cases that the source no longer has: not in the data set, but not
    deleted, since a wrong source must not cost hours of work."""
    names = [f.name for f in sorted((root / CASES).iterdir()) if f.name not in wanted]
    names = [name for name in names if not name.startswith(".")]
    if not names:
        return []
    return [
        f"{len(names)} folders in {CASES}/ are of cases that the source no longer has: they are "
        f"not in the data set and may be deleted ({names[0]}{', ...' if names[1:] else ''})"
    ]
