"""Files that appear whole or not at all; needs only Python."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from axon_backend.util.work_folder import sweep, take_new

# Hidden folders in which single files are written; see ``work_folder``.
WRITING = ".axon-*.file"
# On Windows a file that another program has open for a moment cannot be replaced: asked again.
ATTEMPTS, PAUSE_SECONDS = 50, 0.02


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path; on success it takes the place of `path` (`os.replace`, atomic on one
    file system), else it is removed and `path` is as it was.

    It has the name of `path`, for writers that choose a format by it, in a hidden folder beside
    it. What killed processes left of such folders there is removed.

    Args:
        path: in a folder that exists.

    Raises:
        OSError: of the system.
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
    """``os.replace``, asked again where Windows refuses it for a moment."""
    for attempt in range(ATTEMPTS):
        try:
            return os.replace(new, old)
        except PermissionError:
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(PAUSE_SECONDS)
