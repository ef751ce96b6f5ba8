"""One run at a time in an output folder; shards of one run share it."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from axon_backend.errors import AxonInputError
from axon_backend.util.file_lock import try_lock

FILE = "prepare.lock"
# The locked bytes follow the text that names the holder of the lock: one for each shard, so that
# different shards can run concurrently and a whole run excludes them all.
_FIRST, SHARDS = 1 << 20, 10_000

# The system's locks are per process; two runs of one process are distinguished here.
_held: set[tuple[str, int]] = set()


class OutputLock:
    """Held while a run writes; the system releases it however the process ends, so a file left by
    a killed run blocks nothing.

    Args:
        folder: the output.
        shard: its number from 0, or None for a whole run.

    Raises AxonInputError on entry when another run has the folder.
    """

    def __init__(self, folder: Path, shard: int | None = None) -> None:
        self.path = folder / FILE
        self.start, self.count = (_FIRST, SHARDS) if shard is None else (_FIRST + shard, 1)
        self._stream: IO[Any] | None = None
        self._names: set[tuple[str, int]] = set()

    def __enter__(self) -> OutputLock:
        real = str(self.path.resolve())
        names = {(real, self.start + i) for i in range(self.count)}
        if names & _held:
            raise self._taken()
        try:
            stream = open(self.path, "a+b")
        except OSError as error:
            raise AxonInputError(
                f"Cannot write into {self.path.parent}: {error.strerror or error}. Choose another "
                "--output."
            ) from error
        if not try_lock(stream, self.start, self.count):
            stream.close()
            raise self._taken()
        self._stream, self._names = stream, names
        _held.update(names)
        who = {"pid": os.getpid(), "host": socket.gethostname(), "started": time.time()}
        with suppress(OSError):  # only for the message of a second run
            stream.truncate(0)
            stream.write(json.dumps(who).encode())
            stream.flush()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._stream is not None:
            _held.difference_update(self._names)
            # Another shard may hold its part of the file, so the file stays if there are shards.
            if self.count > 1 and sys.platform != "win32":
                self.path.unlink(missing_ok=True)
            self._stream.close()
            if self.count > 1 and sys.platform == "win32":
                with suppress(OSError):
                    self.path.unlink(missing_ok=True)

    def _taken(self) -> AxonInputError:
        who = ""
        try:
            text = json.loads(self.path.read_text())
            since = time.strftime("%d %B %H:%M", time.localtime(text["started"]))
            who = f" (process {text['pid']} on {text['host']}, since {since})"
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return AxonInputError(
            f"Another run is preparing {self.path.parent}{who}. Wait for it, stop it, or choose "
            "another --output."
        )
