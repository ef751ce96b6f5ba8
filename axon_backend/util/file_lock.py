"""Locks of the system on parts of a file; the system lets go of them however a process ends."""

from __future__ import annotations

import sys
from typing import IO, Any


def try_lock(stream: IO[Any], start: int = 0, count: int = 1) -> bool:
    """Lock bytes of an open file until it is closed; False where another process has one of them.

    The locks are by process: one process may lock the same bytes twice, and closing any handle of
    the file lets go of them all. The bytes may lie behind the file's end.

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
        # A file system without locks is no reason to refuse the work.
        return error.errno not in (errno.EACCES, errno.EAGAIN)
    return True
