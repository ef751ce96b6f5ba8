"""Lock of an output folder: one run at a time, or several shards."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from axon_backend.errors import AxonInputError
from axon_backend.util.file_lock import FileLock

FILE = "prepare.lock"
# The locked bytes come after the text that names the holder: one per shard, so that different
# shards can run concurrently and a whole run excludes them all.
_FIRST, SHARDS = 1 << 20, 10_000


class OutputLock:
    """Held while a run writes. The system releases it however the process ends, so a file left by
    a killed run blocks nothing.

    Args:
        folder: the output folder.
        shard: number of the shard from 0, or None for a whole run.

    Raises AxonInputError on entry if another run is using the folder or it cannot be written.
    """

    def __init__(self, folder: Path, shard: int | None = None) -> None:
        self.path = folder / FILE
        self.whole = shard is None
        start, count = (_FIRST, SHARDS) if shard is None else (_FIRST + shard, 1)
        self._lock = FileLock(self.path, start, count)

    def __enter__(self) -> OutputLock:
        try:
            in_use = not self._lock.acquire()
        except OSError as error:
            raise AxonInputError(
                f"Cannot write into {self.path.parent}: {error.strerror or error}. Choose another "
                "--output."
            ) from error
        if in_use:
            raise self._in_use()
        who = {"pid": os.getpid(), "host": socket.gethostname(), "started": time.time()}
        with suppress(OSError):  # only for the message of a second run
            assert self._lock.stream is not None
            self._lock.stream.truncate(0)
            self._lock.stream.write(json.dumps(who).encode())
            self._lock.stream.flush()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Keep the file if there are shards: another one may hold its part of it.
        if self.whole and sys.platform != "win32":
            self.path.unlink(missing_ok=True)
        self._lock.release()
        if self.whole and sys.platform == "win32":  # cannot remove open files
            with suppress(OSError):
                self.path.unlink(missing_ok=True)

    def _in_use(self) -> AxonInputError:
        who = ""
        try:
            text = json.loads(self.path.read_text())
            since = time.strftime("%d %B %H:%M", time.localtime(text["started"]))
            who = f" (process {text['pid']} on {text['host']}, since {since})"
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return AxonInputError(
            f"Another run is writing to {self.path.parent}{who}. Wait for it, stop it, or choose "
            "another --output."
        )
