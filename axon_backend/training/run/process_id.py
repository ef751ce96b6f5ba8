"""Identity of a process. Process ids are reused; together with the start time they are unique."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path


def here() -> str:
    """The name of this machine, as in run.json."""
    return socket.gethostname()


def process_started(pid: int) -> str | None:
    """Start time of a process on this machine, as a string to compare; None if it is not
    running."""
    if pid <= 0:
        return None
    if sys.platform.startswith("linux"):
        return _linux(pid)
    if sys.platform == "win32":
        return _windows(pid)
    return _by_ps(pid)


def _linux(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # After the name, which may contain spaces and brackets: the state is field 3, the start 22.
    fields = stat[stat.rfind(")") + 2 :].split()
    if fields[0] in ("Z", "X"):  # dead, but not yet reaped by its parent
        return None
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        boot = ""
    return f"{boot}:{fields[19]}"


def _by_ps(pid: int) -> str | None:
    environment = {**os.environ, "LC_ALL": "C"}
    run = subprocess.run(
        ["ps", "-o", "lstart=,stat=", "-p", str(pid)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    words = run.stdout.split()
    if run.returncode or not words or words[-1].startswith("Z"):
        return None
    return " ".join(words[:-1])


def _windows(pid: int) -> str | None:
    import ctypes
    from ctypes import wintypes

    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined]
    kernel.OpenProcess.restype = wintypes.HANDLE
    limited_information, still_active = 0x1000, 259
    handle = kernel.OpenProcess(limited_information, False, pid)
    if not handle:
        return None
    handle = wintypes.HANDLE(handle)
    try:
        code = wintypes.DWORD()
        if kernel.GetExitCodeProcess(handle, ctypes.byref(code)) and code.value != still_active:
            return None
        times = [wintypes.FILETIME() for _ in range(4)]
        if not kernel.GetProcessTimes(handle, *(ctypes.byref(t) for t in times)):
            return None
        return f"{times[0].dwHighDateTime:x}:{times[0].dwLowDateTime:x}"
    finally:
        kernel.CloseHandle(handle)
