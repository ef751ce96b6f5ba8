"""A run's output folder appears with all its files, or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from axon_backend.errors import AxonInputError, not_written
from axon_backend.util.apart import check_apart


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
    were made for it.

    Args:
        path: the folder that the user asked for; made where missing, with its parents.
        owned: names that this kind of run may write. With ``overwrite`` those of an earlier run
            are removed, so that no stale file stays beside new ones; others are left alone.
        overwrite: accept a folder that holds files already.
        inputs: what the run reads; see ``check_apart``.

    Raises:
        AxonInputError: the folder holds files or an input, or cannot be made or written.
    """
    if not str(path).strip():
        raise AxonInputError("--output is empty. Give the name of a folder.")
    check_apart(path, *inputs)
    target = Path(os.path.abspath(path))
    made = _make_parents(target, overwrite)
    home = target if target.is_dir() else target.parent
    part = home / f".axon-{uuid.uuid4().hex[:12]}.part"
    done = False
    try:
        try:
            part.mkdir()
        except OSError as error:
            raise not_written(
                f"Cannot write into {home}: {error.strerror or error}. Choose another --output.",
                error,
            ) from error
        yield part
        _move_in(part, target, owned)
        done = True
    finally:
        shutil.rmtree(part, ignore_errors=True)
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
        found = sorted(os.listdir(target)) if target.is_dir() else []
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


def _move_in(part: Path, target: Path, owned: tuple[str, ...]) -> None:
    try:
        if not target.exists():
            part.rename(target)
            return
        for name in owned:
            old = target / name
            if old.is_dir() and not old.is_symlink():
                shutil.rmtree(old)
            else:
                old.unlink(missing_ok=True)
        for new in sorted(part.iterdir()):
            os.replace(new, target / new.name)
    except OSError as error:
        raise not_written(
            f"Cannot write to {target}: {error.strerror or error}. "
            "Check the free space and the rights of the folder.",
            error,
        ) from error
