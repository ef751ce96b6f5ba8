"""Files that appear whole or not at all; needs only Python."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# On Windows a file that another program has open for a moment cannot be replaced: asked again.
ATTEMPTS, PAUSE_SECONDS = 50, 0.02


@contextmanager
def whole_file(path: Path, *, same_ending: bool = False) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it takes the place of `path` (`os.replace`,
    atomic on one file system), else it is removed and `path` is as it was.

    Args:
        path: in a folder that exists.
        same_ending: the temporary name ends as `path` does, for writers that choose a format by
            it; otherwise in `.tmp`, so that nobody takes it for a file of that kind.

    Raises:
        OSError: of the system.
    """
    mark = uuid.uuid4().hex[:12]
    name = f".{mark}-{path.name}" if same_ending else f".{path.name}.{mark}.tmp"
    temporary = path.with_name(name)
    try:
        yield temporary
        replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def replace(new: Path, old: Path) -> None:
    """``os.replace``, asked again where Windows refuses it for a moment."""
    for attempt in range(ATTEMPTS):
        try:
            return os.replace(new, old)
        except PermissionError:
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(PAUSE_SECONDS)
