"""Launching `axon` commands as separate processes of the same Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def interpreter() -> str:
    """The Python executable of Slicer; outside of Slicer the current one."""
    return shutil.which("PythonSlicer") or sys.executable


def environment(backendFolder: str) -> dict[str, str]:
    """The environment of a child process: the current one, with `axon_backend` on the path.

    Args:
        backendFolder: the folder that contains the package `axon_backend`.
    """
    values = dict(os.environ)
    paths = [backendFolder, *values.get("PYTHONPATH", "").split(os.pathsep)]
    values["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(p for p in paths if p))
    values["PYTHONUNBUFFERED"] = "1"
    values["PYTHONIOENCODING"] = "utf-8:backslashreplace"  # encoding of the log
    return values


def launch(
    arguments: Sequence[str], backendFolder: str, log: Path, *, survive: bool = False
) -> subprocess.Popen:
    """Start ``python -m axon_backend ARGUMENTS`` with its output redirected to a file.

    Args:
        arguments: the command, for example ``["train", TRAINING, ...]``.
        backendFolder: see `environment`.
        log: appended to; its folder is created.
        survive: the process continues when Slicer is closed.
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
    """A background process and its log file.

    Attributes:
        stopped: it was killed by `terminate`; the exit code then depends on the system.
    """

    def __init__(self) -> None:
        self.stopped = False
        self._process: subprocess.Popen | None = None
        self._log = Path()

    @property
    def busy(self) -> bool:
        """True from `follow` until `takeExitCode` has returned the exit code."""
        return self._process is not None

    def follow(self, process: subprocess.Popen, log: Path) -> None:
        """Follow a process that was just started."""
        self._process, self._log, self.stopped = process, log, False

    def takeExitCode(self) -> int | None:
        """The exit code, once, after the process has exited; otherwise None."""
        code = None if self._process is None else self._process.poll()
        if code is not None:
            self._process = None
        return code

    def lastLines(self, lines: int = 12) -> str:
        """The last lines of its log."""
        return lastLines(self._log, lines)

    def terminate(self) -> None:
        """Kill the process."""
        if self._process is not None:
            self.stopped = True
            terminate(self._process.pid)


def lastLines(log: Path, lines: int = 12) -> str:
    """The last lines of a log, without intermediate states of progress bars."""
    try:
        text = log.read_bytes()[-16000:].decode("utf-8", "replace")
    except OSError:
        return ""
    rows = [row.split("\r")[-1].rstrip() for row in text.split("\n")]
    return "\n".join([row for row in rows if row][-lines:])


def errorOf(output: str) -> str:
    """The message of a failed `axon` command: the last line of its output; may be empty."""
    lines = [line for line in output.splitlines() if line.strip()]
    return lines[-1].removeprefix("axon: ") if lines else ""


def terminate(pid: int) -> None:
    """Kill a process and its children."""
    import signal

    if sys.platform == "win32":
        subprocess.run(["taskkill", "/PID", str(pid), "/T", "/F"], capture_output=True, check=False)
        return
    try:
        group = os.getpgid(pid)
        # A training run leads its own process group; never kill our own group.
        if group == pid and group != os.getpgrp():
            os.killpg(group, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
