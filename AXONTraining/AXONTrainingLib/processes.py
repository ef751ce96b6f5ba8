"""Programs of AXON beside Slicer: the same Python, a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def interpreter() -> str:
    """Slicer's own Python; outside of Slicer the Python that runs this."""
    return shutil.which("PythonSlicer") or sys.executable


def environment(backendFolder: str) -> dict[str, str]:
    """The environment of a child: ours, and `axon_backend` where it is found here.

    Args:
        backendFolder: the folder that holds the package `axon_backend`.
    """
    values = dict(os.environ)
    paths = [backendFolder, *values.get("PYTHONPATH", "").split(os.pathsep)]
    values["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(p for p in paths if p))
    values["PYTHONUNBUFFERED"] = "1"
    values["PYTHONIOENCODING"] = "utf-8:backslashreplace"  # as its log is read
    return values


def launch(
    arguments: Sequence[str], backendFolder: str, log: Path, *, survive: bool = False
) -> subprocess.Popen:
    """Start ``python -m axon_backend WORDS``, with its output in a file.

    Args:
        arguments: the command, for example ``["train", "coarse", ...]``.
        backendFolder: see `environment`.
        log: is appended to; its folder is made.
        survive: the program goes on when Slicer ends.
    """
    options: dict = {}
    if sys.platform == "win32":
        noWindow, ownGroup, detached = 0x08000000, 0x00000200, 0x00000008
        options["creationflags"] = (detached | ownGroup) if survive else noWindow
    elif survive:
        options["start_new_session"] = True
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as output:
        return subprocess.Popen(
            [interpreter(), "-m", "axon_backend", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(backendFolder),
            **options,
        )


class Job:
    """A program that works for the user in the background, and the log that it writes.

    Attributes:
        stopped: it was ended by `terminate`; its exit code differs from system to system.
    """

    def __init__(self) -> None:
        self.stopped = False
        self._process: subprocess.Popen | None = None
        self._log = Path()

    @property
    def busy(self) -> bool:
        """From `follow` until `takeExitCode` has told the end."""
        return self._process is not None

    def follow(self, process: subprocess.Popen, log: Path) -> None:
        """Follow a program that was just started."""
        self._process, self._log, self.stopped = process, log, False

    def takeExitCode(self) -> int | None:
        """The exit code, once, when the program has ended; else None."""
        code = None if self._process is None else self._process.poll()
        if code is not None:
            self._process = None
        return code

    def lastLines(self, lines: int = 12) -> str:
        """The last lines that it wrote."""
        return lastLines(self._log, lines)

    def terminate(self) -> None:
        """End it now."""
        if self._process is not None:
            self.stopped = True
            terminate(self._process.pid)


def lastLines(log: Path, lines: int = 12) -> str:
    """The last lines of a program's output, without the traces of progress bars."""
    try:
        text = log.read_bytes()[-16000:].decode("utf-8", "replace")
    except OSError:
        return ""
    rows = [row.split("\r")[-1].rstrip() for row in text.split("\n")]
    return "\n".join([row for row in rows if row][-lines:])


def terminate(pid: int) -> None:
    """End a process and what it started, now."""
    import signal

    if sys.platform == "win32":
        subprocess.run(["taskkill", "/PID", str(pid), "/T", "/F"], capture_output=True, check=False)
        return
    try:
        group = os.getpgid(pid)
        # A training started here leads a group of its own; never end our own group.
        if group == pid and group != os.getpgrp():
            os.killpg(group, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
