"""A hidden folder for unfinished work, owned by one living process.

The owner holds a lock of the system on a file in it, which is gone however the process ends. So a
folder without a lock is what a killed process left, and may be removed.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from axon_backend.util.file_lock import FileLock

LOCK = "lock"
_ATTEMPTS, _PAUSE_S = 100, 0.02


class WorkFolder:
    """A folder that this process owns until ``remove`` or ``release``; see ``take``."""

    def __init__(self, path: Path, lock: FileLock) -> None:
        self.path = path
        self._lock = lock

    @property
    def sure(self) -> bool:
        """Whether no other process can own it too, as where the file system has no locks."""
        return self._lock.sure

    def remove(self) -> None:
        """Delete the folder, as far as the system allows; what is left has no owner any more."""
        for entry in list(self.path.iterdir()) if self.path.is_dir() else ():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.name != LOCK:
                with suppress(OSError):
                    entry.unlink()
        if os.name == "posix":  # while it is held, so that it is not the next owner's
            with suppress(OSError):
                (self.path / LOCK).unlink()
            self.release()
        else:
            # Windows deletes no open file, so neither this one nor the next owner's.
            self.release()
            with suppress(OSError):
                (self.path / LOCK).unlink()
        with suppress(OSError):
            self.path.rmdir()

    def release(self) -> None:
        """Leave the folder to the next that takes it."""
        self._lock.release()


def take(path: Path, patience_s: float = 0.0) -> WorkFolder | None:
    """Make the folder, or take over one whose owner is gone; None while a living process has it
    for ``patience_s``.

    Raises:
        OSError: of the system.
    """
    lock = FileLock(path / LOCK)
    end = time.monotonic() + patience_s
    for attempt in range(_ATTEMPTS):
        try:
            path.mkdir(exist_ok=True)
            if not lock.acquire():
                if time.monotonic() > end:
                    return None
                time.sleep(_PAUSE_S)
                continue
            if lock.stream is not None and _is_at(lock.stream, lock.path):
                return WorkFolder(path, lock)
            lock.release()
        except FileNotFoundError:  # its owner was removing it
            lock.release()
            if attempt == _ATTEMPTS - 1 or not path.parent.is_dir():
                raise
    return None


def take_new(home: Path, pattern: str) -> WorkFolder:
    """Make a work folder of a new name in ``home``, for work that no later run takes over.

    Args:
        home: a folder that exists.
        pattern: its name, with a ``*`` for what makes the name unique; as for ``sweep``.

    Raises:
        OSError: of the system.
    """
    work = None
    while work is None:  # a sweep may be removing it before it is locked
        work = take(home / pattern.replace("*", uuid.uuid4().hex[:12]))
    return work


def _is_at(stream: IO[Any], path: Path) -> bool:
    """Whether an open file is still the one at its path."""
    return os.path.samestat(os.fstat(stream.fileno()), os.stat(path))


def sweep(home: Path, pattern: str, settle: Callable[[Path], None] = lambda path: None) -> None:
    """Remove the work folders in ``home`` whose owners are gone.

    Args:
        home: a folder; it need not exist.
        pattern: of their names.
        settle: called with each before it is removed; one where it raises OSError stays for the
            next time.
    """
    found: list[Path] = []
    with suppress(OSError):
        found = sorted(home.glob(pattern))
    for path in found:
        # Those of other users, and what the system does not let go of, are left alone.
        with suppress(OSError):
            if path.is_symlink() or not path.is_dir():
                continue
            work = take(path)
            if work is None:
                continue
            if not work.sure:  # its owner may be alive
                work.release()
                continue
            try:
                settle(path)
            except BaseException:
                work.release()
                raise
            work.remove()
