"""A hidden folder for unfinished work, owned by one running process.

The owner holds a file lock in it, which the system releases however the process ends. A folder
without a lock was therefore left by a killed process, and may be removed.
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
        """Whether ownership is exclusive; False if the file system does not support locks."""
        return self._lock.sure

    def remove(self) -> None:
        """Delete the folder as far as the system allows; anything left no longer has an owner."""
        for entry in list(self.path.iterdir()) if self.path.is_dir() else ():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.name != LOCK:
                with suppress(OSError):
                    entry.unlink()
        if os.name == "posix":  # while the lock is held, so that it cannot be the next owner's
            with suppress(OSError):
                (self.path / LOCK).unlink()
            self.release()
        else:
            # Windows cannot delete open files: not this one while it is held, nor the next owner's.
            self.release()
            with suppress(OSError):
                (self.path / LOCK).unlink()
        with suppress(OSError):
            self.path.rmdir()

    def release(self) -> None:
        """Leave the folder to the next process that takes it."""
        self._lock.release()


def take(path: Path, patience_s: float = 0.0) -> WorkFolder | None:
    """Create the folder, or take over one whose owner is gone; None if a running process still has
    it after ``patience_s``.

    Raises:
        OSError: the file system refuses an operation.
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
    """Create a work folder with a new name in ``home``, for work that no later run takes over.

    Args:
        home: an existing folder.
        pattern: its name, with a ``*`` for the part that makes it unique; as for ``sweep``.

    Raises:
        OSError: the file system refuses an operation.
    """
    work = None
    while work is None:  # a sweep may remove it before it is locked
        work = take(home / pattern.replace("*", uuid.uuid4().hex[:12]))
    return work


def _is_at(stream: IO[Any], path: Path) -> bool:
    """Whether an open file is still the one at its path."""
    return os.path.samestat(os.fstat(stream.fileno()), os.stat(path))


def sweep(home: Path, pattern: str, settle: Callable[[Path], None] = lambda path: None) -> None:
    """Remove the work folders in ``home`` whose owners are gone.

    Args:
        home: a folder; it need not exist.
        pattern: glob pattern of their names.
        settle: called with each folder before it is removed; if it raises OSError, the folder is
            kept for the next sweep.
    """
    found: list[Path] = []
    with suppress(OSError):
        found = sorted(home.glob(pattern))
    for path in found:
        # Folders of other users, and those that the system does not release, are left alone.
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
