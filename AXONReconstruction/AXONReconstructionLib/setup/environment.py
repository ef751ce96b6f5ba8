"""Environment report for bug reports: Slicer, Python, hardware and AXON.

Works without PyTorch and `axon_backend`, with less detail. Contains no names of users, files or
computers.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import slicer
import vtk
from slicer.i18n import tr as _

from AXONReconstructionLib.setup import backend, requirements

# Covered by the report itself; OpenGL may only be used from Slicer's main thread.
_NOT_FROM_SELFCHECK = ("AXON", "Python", "system", "packages", "disk", "OpenGL")
_PINNED = ("numpy", "scipy", "SimpleITK")
_Line = tuple[str, Callable[[], str]]


def nvidiaGpus() -> list[str]:
    """NVIDIA GPUs with memory and driver version; empty if there are none.

    Uses nvidia-smi, so that PyTorch need not be installed or loaded.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    noWindow = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # exists on Windows only
    try:
        answer = subprocess.run(
            [program, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"],
            capture_output=True, text=True, timeout=10, check=True, creationflags=noWindow,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]


def slicerReport() -> str:
    """The part about Slicer; call it on the main thread (fast)."""
    app = slicer.app
    kind = "installed" if app.isInstalled else "built from source"
    extensions = sorted(app.extensionsManagerModel().installedExtensions)
    lines: list[_Line] = [
        ("Slicer", lambda: f"{app.applicationVersion} (revision {app.revision}), {kind}"),
        ("Python", platform.python_version),
        ("VTK", vtk.vtkVersion.GetVTKVersion),
        ("system", lambda: f"{platform.platform()}, {os.cpu_count()} cores"),
        ("extensions", lambda: ", ".join(extensions) or "none installed"),
    ]
    return "\n".join(_lines(lines))


def systemReport() -> str:
    """The slow part, including AXON's self-check if possible; for the worker."""
    lines: list[_Line] = [
        ("AXON", _axonVersion),
        ("GPU", lambda: "; ".join(nvidiaGpus()) or "no NVIDIA GPU found"),
        ("packages", _packages),
        ("disk", _disk),
    ]
    text = _lines(lines)
    missing = backend.available()
    if missing is not None:
        return "\n".join([*text, "", missing])
    checks, _sound = backend.load("cli.selfcheck").run_selfcheck(leave_out=_NOT_FROM_SELFCHECK)
    # Skip its title (two lines); its columns would require a monospaced font.
    return "\n".join([*text, *(re.sub(r": +", ": ", c) for c in checks.splitlines()[2:])])


def title() -> str:
    """The report's first line."""
    return _("AXON environment report")


def _lines(lines: list[_Line]) -> list[str]:
    text = []
    for name, find in lines:
        try:
            found = find()
        except Exception as error:  # the report must name what is broken
            found = f"FAILED: {type(error).__name__}: {error}"
        text.append(f"{name}: {found}")
    return text


def _axonVersion() -> str:
    backend.available()  # adds the package to the path if it is next to the module
    import axon_backend

    return axon_backend.__version__


def _packages() -> str:
    parts = [requirements.torchPackage(), *requirements.requiredPackages()]
    text = []
    for part in parts:
        note = "" if part.satisfied else f" (required: {part.required or 'any version'})"
        text.append(f"{part.name} {part.installed or 'not installed'}{note}")
    for name in _PINNED:
        text.append(f"{name} {requirements.installedVersion(name) or 'no metadata'}")
    return ", ".join(text)


def _disk() -> str:
    usage = shutil.disk_usage(Path.home())
    return f"{usage.free / 2**30:.1f} GiB free of {usage.total / 2**30:.1f} GiB, home folder"
