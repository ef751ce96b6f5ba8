"""Locks on parts of a file, which the system frees however a process ends."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import IO, Any

# The system's locks are per process; holders within one process are told apart here: (real path,
# first byte, one past the last).
_held: set[tuple[str, int, int]] = set()
_guard = threading.Lock()


class FileLock:
    """Bytes of a file that one holder has, in this process or another.

    The system frees them however the process ends, so a file left behind blocks nobody.

    Args:
        path: created if it does not exist; its folder must.
        start: the first byte.
        count: how many bytes.

    Attributes:
        stream: the open file while the lock is held, else None.
        sure: whether the file system has locks at all. Where it has none, everybody gets them.
    """

    def __init__(self, path: Path, start: int = 0, count: int = 1) -> None:
        self.path = path
        self.start, self.count = start, count
        self.stream: IO[Any] | None = None
        self.sure = True

    def acquire(self) -> bool:
        """Whether the bytes are now this holder's; False where another one has any of them.

        Raises:
            OSError: the file cannot be opened for writing.
        """
        key = (os.path.realpath(self.path), self.start, self.start + self.count)
        with _guard:
            # Before the file is opened: closing a second handle would free the first one's lock.
            if any(p == key[0] and a < key[2] and key[1] < b for p, a, b in _held):
                return False
            _held.add(key)
        stream = None
        try:
            stream = open(self.path, "a+b")  # noqa: SIM115 - open while the lock is held
            locked = try_lock(stream, self.start, self.count)
            if locked is not False:
                self.stream, self._key, self.sure = stream, key, locked is True
                return True
        finally:
            if self.stream is None:
                if stream is not None:
                    stream.close()
                with _guard:
                    _held.discard(key)
        return False

    def release(self) -> None:
        """Free the bytes; nothing happens where they are not held."""
        if self.stream is not None:
            self.stream.close()
            self.stream = None
            with _guard:
                _held.discard(self._key)


def try_lock(stream: IO[Any], start: int = 0, count: int = 1) -> bool | None:
    """Lock bytes of an open file until it is closed; False where another process has one of them,
    None where the file system has no locks, which is no reason to refuse the work.

    The locks are by process: one process may lock the same bytes twice, and closing any handle of
    the file frees them all. The bytes may lie beyond the end of the file.

    Args:
        stream: open for writing.
        start: the first byte.
        count: how many bytes.
    """
    if sys.platform == "win32":
        import msvcrt

        try:
            stream.seek(start)
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, count)
        except OSError:
            return False
        return True
    import errno
    import fcntl

    try:
        # lockf, not flock: workers started by this process must not inherit the lock.
        fcntl.lockf(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB, count, start)
    except OSError as error:
        return False if error.errno in (errno.EACCES, errno.EAGAIN) else None
    return True
