"""A run's output folder appears with all its files, or not at all.

A run works in a hidden folder beside the result (``work_folder``). Putting the result in its place
is a transaction: a journal in that folder names what is moved, and the next run completes what a
killed one had begun. Until then what was there before is kept in ``old``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from axon_backend.errors import AxonInputError, OutputError, not_written
from axon_backend.util.apart import check_apart
from axon_backend.util.atomic import WRITING, replace
from axon_backend.util.work_folder import sweep, take

PARTS = ".axon-*.part"
PATIENCE_S = 1.0  # another run that sweeps holds a work folder for a moment
_NEW, _OLD, _JOURNAL = "new", "old", "journal"


@contextmanager
def output_folder(
    path: str | os.PathLike[str],
    owned: tuple[str, ...],
    overwrite: bool = False,
    inputs: Iterable[str | os.PathLike[str] | None] = (),
) -> Iterator[Path]:
    """Give a temporary folder; when the block ends well its contents are moved to ``path``.

    The temporary folder is made first, so that a folder that cannot be written is known before
    any computing. It lies on the same file system as ``path``: inside it where it exists (it may
    be a mount), else beside it. When the block raises, nothing is left, not even parents that
    were made for it. What killed runs left at the same place is completed or removed.

    Args:
        path: the folder that the user asked for; made where missing, with its parents.
        owned: names that this kind of run may write. With ``overwrite`` those of an earlier run
            are removed, so that no stale file stays beside new ones; others are left alone.
        overwrite: accept a folder that holds files already.
        inputs: what the run reads; see ``check_apart``.

    Raises:
        AxonInputError: the folder holds files or an input, cannot be made or written, or another
            run is writing to it.
        OutputError: the folder was filled by somebody else meanwhile; the message says where the
            results are instead.
    """
    if not str(path).strip():
        raise AxonInputError("--output is empty. Give the name of a folder.")
    check_apart(path, *inputs)
    target = Path(os.path.abspath(path))
    for home in (target, target.parent):
        sweep(home, PARTS, _settle)
    made = _make_parents(target, overwrite)
    with _work_folder(target, target if target.is_dir() else target.parent, made) as work:
        new = work / _NEW
        yield new
        _move_in(work, target, owned, overwrite)


@contextmanager
def whole_folder(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """As ``output_folder``, for a folder that is replaced as a whole, so that a reader never meets
    files of two.

    Raises:
        AxonInputError: there is such a folder and ``overwrite`` is not set, or another run is
            writing to it.
        OSError: of the system.
    """
    target = Path(os.path.abspath(target))
    sweep(target.parent, PARTS, _settle)
    made = _make_parents(target, overwrite)
    with _work_folder(target, target.parent, made) as work:
        new = work / _NEW / target.name
        new.mkdir()
        yield new
        if overwrite or not os.path.lexists(target):
            _exchange(work, target.parent, [target.name], [])
        else:
            _keep_elsewhere(new, work.parent, target)


@contextmanager
def _work_folder(target: Path, home: Path, made: list[Path]) -> Iterator[Path]:
    """The work folder of a target, gone at the end; when the block raises, also ``made``."""
    # One name for each target, so that two runs meet.
    mark = hashlib.sha256(os.path.normcase(target.name).encode(errors="replace")).hexdigest()[:12]
    part, beside = (folder / f".axon-{mark}.part" for folder in (home, target.parent))
    done, work = False, None
    try:
        try:
            # A run that began before the target existed works beside it; others left nothing.
            work = None if beside != part and beside.is_dir() else take(part, PATIENCE_S)
            if work is None:
                raise AxonInputError(
                    f"Another run is writing to {target}. Wait until it ends, or choose another "
                    "--output."
                )
            (work.path / _NEW).mkdir()
        except OSError as error:
            raise not_written(
                f"Cannot write into {home}: {error.strerror or error}. Choose another --output.",
                error,
            ) from error
        yield work.path
        done = True
    finally:
        if work is not None:
            if (work.path / _JOURNAL).exists():  # neither completed nor undone: for the next run
                work.release()
            else:
                work.remove()
        if not done:
            for folder in made:
                # Only empty ones go: somebody else may have used them in the meantime.
                try:
                    folder.rmdir()
                except OSError:
                    break


def _make_parents(target: Path, overwrite: bool) -> list[Path]:
    """Check the target and make its parents; returns those made, innermost first."""
    if os.path.lexists(target) and not target.is_dir():
        raise AxonInputError(f"{target} is a file, --output is a folder. Choose another name.")
    try:
        found = _contents(target)
        if found and not overwrite:
            raise AxonInputError(
                f"{target} holds files already ({found[0]}{', ...' if len(found) > 1 else ''}). "
                "Choose another --output, or add --overwrite to replace an earlier run."
            )
        missing = []
        folder = target.parent
        while not os.path.lexists(folder):
            missing.append(folder)
            folder = folder.parent
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_written(
            f"Cannot write to {target}: {error.strerror or error}. Choose another --output.", error
        ) from error
    return missing


def _contents(target: Path) -> list[str]:
    """Names in a folder but for runs that are working there."""
    if not target.is_dir():
        return []
    working = (PARTS, WRITING)
    return sorted(p.name for p in target.iterdir() if not any(map(p.match, working)))


def _move_in(work: Path, target: Path, owned: tuple[str, ...], overwrite: bool) -> None:
    new = work / _NEW
    try:
        if not os.path.lexists(target):
            try:
                new.rename(target)
                return
            except OSError:
                if not os.path.lexists(target):
                    raise
        if not target.is_dir() or (_contents(target) and not overwrite):
            _keep_elsewhere(new, work.parent, target)
        names = sorted(p.name for p in new.iterdir())
        _exchange(work, target, names, sorted(set(owned) - set(names)))
    except OSError as error:
        raise not_written(
            f"Cannot write to {target}: {error.strerror or error}. "
            "Check the free space and the rights of the folder.",
            error,
        ) from error


def _keep_elsewhere(new: Path, home: Path, target: Path) -> None:
    """What took long to compute is not thrown away because its place was taken."""
    number = 2
    while os.path.lexists(home / f"{target.name}-{number}"):
        number += 1
    kept = home / f"{target.name}-{number}"
    new.rename(kept)
    raise OutputError(
        f"{target} was made by somebody else while this run was computing, and is left as it is. "
        f"The results of this run are in {kept}."
    )


def _exchange(work: Path, target: Path, names: list[str], stale: list[str]) -> None:
    """Move ``names`` from ``new`` into ``target``, and what they replace and ``stale`` into
    ``old``: all of it or, when it raises, nothing. After a kill ``_settle`` completes it."""
    journal = work / _JOURNAL
    inside = os.path.relpath(target, work)  # ".." or "../name"
    text = json.dumps({"target": inside, "names": names, "stale": stale})
    draft = work / f"{_JOURNAL}.draft"
    with open(draft, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    try:
        draft.rename(journal)
        _move(work, target, names, stale)
    except BaseException:
        _move_back(work, target, names, stale)
        journal.unlink(missing_ok=True)
        raise
    journal.unlink()  # from here on it is done


def _settle(work: Path) -> None:
    """Complete the exchange that a killed run had begun."""
    journal = work / _JOURNAL
    if journal.is_file():
        found = json.loads(journal.read_text(encoding="utf-8"))
        _move(work, Path(os.path.normpath(work / found["target"])), found["names"], found["stale"])
        journal.unlink()


def _move(work: Path, target: Path, names: list[str], stale: list[str]) -> None:
    """Every step can be found half done, and is done once."""
    new, old = work / _NEW, work / _OLD
    old.mkdir(exist_ok=True)
    for name in [*names, *stale]:
        waits = os.path.lexists(new / name)
        present = os.path.lexists(target / name)
        if present and (waits or name in stale) and not os.path.lexists(old / name):
            replace(target / name, old / name)
        if waits:
            replace(new / name, target / name)


def _move_back(work: Path, target: Path, names: list[str], stale: list[str]) -> None:
    new, old = work / _NEW, work / _OLD
    for name in reversed([*names, *stale]):
        if name in names and not os.path.lexists(new / name) and os.path.lexists(target / name):
            replace(target / name, new / name)
        if os.path.lexists(old / name):
            replace(old / name, target / name)
