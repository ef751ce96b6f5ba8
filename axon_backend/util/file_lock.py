"""Locks on byte ranges of a file, which the system releases however a process ends."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import IO, Any

# The system's locks are per process. This set separates holders within the process:
# (real path, first byte, one past the last byte).
_held: set[tuple[str, int, int]] = set()
_guard = threading.Lock()


class FileLock:
    """A lock on a byte range of a file, held by one holder across all processes and threads.

    The system releases it however the process ends, so a file left behind blocks no one.

    Args:
        path: created if it does not exist; its folder must exist.
        start: the first byte.
        count: the number of bytes.

    Attributes:
        stream: the open file while the lock is held, else None.
        sure: False if the file system does not support locks; other processes can then acquire
            the same bytes.
    """

    def __init__(self, path: Path, start: int = 0, count: int = 1) -> None:
        self.path = path
        self.start, self.count = start, count
        self.stream: IO[Any] | None = None
        self.sure = True

    def acquire(self) -> bool:
        """Take the lock without waiting; False if another holder has any of the bytes.

        Raises:
            OSError: the file cannot be opened for writing.
        """
        key = (os.path.realpath(self.path), self.start, self.start + self.count)
        with _guard:
            # Checked before the file is opened: closing a second handle would release the lock.
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
        """Release the lock, if it is held."""
        if self.stream is not None:
            self.stream.close()
            self.stream = None
            with _guard:
                _held.discard(self._key)


def try_lock(stream: IO[Any], start: int = 0, count: int = 1) -> bool | None:
    """Lock bytes of an open file until it is closed.

    Locks belong to the process: it can lock the same bytes twice, and closing any handle of the
    file releases all of them. The bytes may lie beyond the end of the file.

    Args:
        stream: open for writing.
        start: the first byte.
        count: the number of bytes.

    Returns:
        True if the bytes are locked, False if another process has locked any of them, None if the
        file system does not support locks (callers then continue without one).
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
