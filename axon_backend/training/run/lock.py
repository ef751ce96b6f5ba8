"""One run at a time in a folder."""

from __future__ import annotations

import time
from types import TracebackType
from typing import IO, Any

from axon_backend.errors import AxonInputError
from axon_backend.training.run.process_id import here
from axon_backend.training.run.run_folder import ACTIVE, RunFolder
from axon_backend.util.file_lock import try_lock

# The system's locks are by process; two runs of one process are told apart here.
_held: set[str] = set()


class RunLock:
    """Held while a run trains; the system lets go of it however the process ends.

    Use as a context. Raises AxonInputError on entry when another run has the folder.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._stream: IO[Any] | None = None

    def __enter__(self) -> RunLock:
        folder = self.folder
        folder.path.mkdir(parents=True, exist_ok=True)
        name = str(folder.path.resolve())
        state = folder.state()
        who = f"process {state.get('pid', '?')} on {state.get('host', 'this machine')}"
        elsewhere = state.get("host") not in (None, here()) and folder.is_alive()
        # Opened only if not held here: closing a second handle would give up the system's lock.
        stream = None if name in _held or elsewhere else open(folder.lock_file, "a+b")
        if stream is None or not try_lock(stream):
            if stream is not None:
                stream.close()
            status = state.get("status")
            since = ""
            if isinstance(state.get("started"), (int, float)) and status in ACTIVE:
                since = f" since {time.strftime('%d %B %H:%M', time.localtime(state['started']))}"
            raise AxonInputError(
                f"{folder.path} is being trained by {who}{since}. Two runs cannot share a folder: "
                "choose another --run, or stop that one first."
            )
        _held.add(name)
        self._stream, self._name = stream, name
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._stream is not None:
            self._stream.close()
            _held.discard(self._name)
