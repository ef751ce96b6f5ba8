"""Lock of a run folder, so that only one run uses it at a time."""

from __future__ import annotations

import time
from types import TracebackType

from axon_backend.errors import AxonInputError
from axon_backend.training.run.process_id import here
from axon_backend.training.run.run_folder import ACTIVE, RunFolder
from axon_backend.util.file_lock import FileLock


class RunLock:
    """Context manager that locks a run folder; the system releases it however the process ends.

    Raises AxonInputError on entry if another run holds the folder.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._lock = FileLock(folder.lock_file)

    def __enter__(self) -> RunLock:
        folder = self.folder
        folder.path.mkdir(parents=True, exist_ok=True)
        state = folder.state()
        who = f"process {state.get('pid', '?')} on {state.get('host', 'this machine')}"
        elsewhere = state.get("host") not in (None, here()) and folder.is_alive()
        if elsewhere or not self._lock.acquire():
            status = state.get("status")
            since = ""
            if isinstance(state.get("started"), (int, float)) and status in ACTIVE:
                since = f" since {time.strftime('%d %B %H:%M', time.localtime(state['started']))}"
            raise AxonInputError(
                f"{folder.path} is being trained by {who}{since}. Two runs cannot share a folder: "
                "choose another --run, or stop the other run first."
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()
