"""Output folders that appear with all their files or not at all.

A run works in a hidden folder beside the result (``work_folder``). Moving the result into place is
a transaction: a journal in the work folder lists the moves, and if the run is killed, the next one
completes them. Until then, the files that are replaced are kept in ``old``.
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
PATIENCE_S = 1.0  # another run may briefly hold a work folder while it sweeps
_NEW, _OLD, _JOURNAL = "new", "old", "journal"


@contextmanager
def output_folder(
    path: str | os.PathLike[str],
    owned: tuple[str, ...],
    overwrite: bool = False,
    inputs: Iterable[str | os.PathLike[str] | None] = (),
) -> Iterator[Path]:
    """Yield a temporary folder, whose contents are moved to ``path`` when the block succeeds.

    The temporary folder is created first, so that an unwritable location is reported before any
    computation. It is on the same file system as ``path``: inside it if it exists (it may be a
    mount point), else beside it. If the block raises, nothing is left behind, including parent
    folders created here. Remains of killed runs at the same place are completed or removed.

    Args:
        path: the folder that the user asked for; created, with its parents, if missing.
        owned: names that this kind of run may write. With ``overwrite``, those of an earlier run
            are removed, so that no stale files remain; other files are left alone.
        overwrite: accept a folder that already contains files.
        inputs: files and folders that the run reads; see ``check_apart``.

    Raises:
        AxonInputError: the folder contains files or an input, cannot be created or written, or
            another run is writing to it.
        OutputError: another program filled the folder in the meantime; the message says where the
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
    """Like ``output_folder``, for a folder that is replaced as a whole, so that readers never see a
    mixture of old and new files.

    Raises:
        AxonInputError: the folder exists and ``overwrite`` is not set, or another run is writing
            to it.
        OSError: the file system refuses an operation.
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
    """Yield the work folder of a target and remove it at the end; if the block raises, also remove
    the folders ``made`` for it."""
    # One name per target, so that two runs for the same target notice each other.
    mark = hashlib.sha256(os.path.normcase(target.name).encode(errors="replace")).hexdigest()[:12]
    part, beside = (folder / f".axon-{mark}.part" for folder in (home, target.parent))
    done, work = False, None
    try:
        try:
            # A work folder beside an existing target belongs to a run that began before it existed.
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
            if (work.path / _JOURNAL).exists():  # neither completed nor undone: left to the next
                work.release()
            else:
                work.remove()
        if not done:
            for folder in made:
                # Only while empty: another program may use them by now.
                try:
                    folder.rmdir()
                except OSError:
                    break


def _make_parents(target: Path, overwrite: bool) -> list[Path]:
    """Check the target and create its parents; return those created, innermost first."""
    if os.path.lexists(target) and not target.is_dir():
        raise AxonInputError(f"{target} is a file; --output must be a folder. Choose another name.")
    try:
        found = _contents(target)
        if found and not overwrite:
            raise AxonInputError(
                f"{target} already contains files ({found[0]}{', ...' if found[1:] else ''}). "
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
    """The names in a folder, without the work folders of other runs."""
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
            "Check the free space and the permissions of the folder.",
            error,
        ) from error


def _keep_elsewhere(new: Path, home: Path, target: Path) -> None:
    """Keep the results beside a target that was created in the meantime, and raise to say where."""
    number = 2
    while os.path.lexists(home / f"{target.name}-{number}"):
        number += 1
    kept = home / f"{target.name}-{number}"
    new.rename(kept)
    raise OutputError(
        f"{target} was created by another program while this run was computing and is left "
        f"unchanged. The results of this run are in {kept}."
    )


def _exchange(work: Path, target: Path, names: list[str], stale: list[str]) -> None:
    """Move ``names`` from ``new`` into ``target``, and the files they replace and ``stale`` into
    ``old``. If this raises, every move is undone; after a kill, ``_settle`` completes them."""
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
    journal.unlink()  # commits the exchange


def _settle(work: Path) -> None:
    """Complete the exchange that a killed run began."""
    journal = work / _JOURNAL
    if journal.is_file():
        moves = json.loads(journal.read_text(encoding="utf-8"))
        _move(work, Path(os.path.normpath(work / moves["target"])), moves["names"], moves["stale"])
        journal.unlink()


def _move(work: Path, target: Path, names: list[str], stale: list[str]) -> None:
    """Do the moves that are still to be done: after a kill, any of them may be done already."""
    new, old = work / _NEW, work / _OLD
    old.mkdir(exist_ok=True)
    for name in [*names, *stale]:
        pending = os.path.lexists(new / name)
        present = os.path.lexists(target / name)
        if present and (pending or name in stale) and not os.path.lexists(old / name):
            replace(target / name, old / name)
        if pending:
            replace(new / name, target / name)


def _move_back(work: Path, target: Path, names: list[str], stale: list[str]) -> None:
    new, old = work / _NEW, work / _OLD
    for name in reversed([*names, *stale]):
        if name in names and not os.path.lexists(new / name) and os.path.lexists(target / name):
            replace(target / name, new / name)
        if os.path.lexists(old / name):
            replace(old / name, target / name)
