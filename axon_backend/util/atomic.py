"""Atomic writing: a file appears whole or not at all."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from axon_backend.util.work_folder import sweep, take_new

# Hidden folders in which single files are written; see ``work_folder``.
WRITING = ".axon-*.file"
# On Windows a file cannot be replaced while another program has it open: `replace` tries again.
ATTEMPTS, PAUSE_SECONDS = 50, 0.02


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path, which replaces `path` on success (`os.replace`, atomic within a file
    system). If the block raises, it is removed and `path` is unchanged.

    The temporary file has the name of `path`, by which some writers choose a format, and lies in a
    hidden folder beside `path`. Such folders left by killed processes are removed.

    Args:
        path: a file in an existing folder.

    Raises:
        OSError: the file system refuses an operation.
    """
    sweep(path.parent, WRITING)
    work = take_new(path.parent, WRITING)
    temporary = work.path / path.name
    try:
        yield temporary
        replace(temporary, path)
    finally:
        work.remove()


def replace(new: Path, old: Path) -> None:
    """``os.replace``, retried for a second while Windows refuses it."""
    for attempt in range(ATTEMPTS):
        try:
            return os.replace(new, old)
        except PermissionError:
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(PAUSE_SECONDS)
