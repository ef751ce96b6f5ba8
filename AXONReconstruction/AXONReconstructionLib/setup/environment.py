"""The report for a bug report: what Slicer, Python, the computer and AXON are, as text.

Works without PyTorch and without `axon_backend`, and then says less. No names of users, files or
machines are in it.
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

# Of these the report speaks itself; OpenGL may only be used from Slicer's main thread.
_NOT_FROM_SELFCHECK = ("AXON", "Python", "system", "packages", "disk", "OpenGL")
_PINNED = ("numpy", "scipy", "SimpleITK")
_Line = tuple[str, Callable[[], str]]


def nvidiaGpus() -> list[str]:
    """NVIDIA cards with memory and driver, as their driver tells; empty when there is none.

    Asks the program nvidia-smi, so that PyTorch need not be there, or loaded.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    hidden = {"creationflags": subprocess.CREATE_NO_WINDOW} if os.name == "nt" else {}
    try:
        answer = subprocess.run(
            [program, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"],
            capture_output=True, text=True, timeout=10, check=True, **hidden,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]


def slicerReport() -> str:
    """The part about Slicer; call it on the main thread, it is quick."""
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
    """The part that takes a while, with AXON's own check where it can run; for the worker."""
    lines: list[_Line] = [
        ("AXON", _axonVersion),
        ("graphics", lambda: "; ".join(nvidiaGpus()) or "no NVIDIA card found"),
        ("packages", _packages),
        ("disk", _disk),
    ]
    text = _lines(lines)
    missing = backend.available()
    if missing is not None:
        return "\n".join([*text, "", missing])
    checks, _sound = backend.load("cli.selfcheck").run_selfcheck(leave_out=_NOT_FROM_SELFCHECK)
    # Its first two lines are a title; its columns need a typewriter's letters.
    return "\n".join([*text, *(re.sub(r": +", ": ", c) for c in checks.splitlines()[2:])])


def title() -> str:
    """The report's first line."""
    return _("AXON environment report")


def _lines(lines: list[_Line]) -> list[str]:
    text = []
    for name, find in lines:
        try:
            found = find()
        except Exception as error:  # the report's purpose is to name what is broken
            found = f"FAILED: {type(error).__name__}: {error}"
        text.append(f"{name}: {found}")
    return text


def _axonVersion() -> str:
    backend.available()  # makes the package importable where it lies beside the module
    import axon_backend

    return axon_backend.__version__


def _packages() -> str:
    parts = [requirements.torchPackage(), *requirements.requiredPackages()]
    text = []
    for part in parts:
        note = "" if part.satisfied else f" (wanted: {part.required or 'any version'})"
        text.append(f"{part.name} {part.installed or 'not installed'}{note}")
    for name in _PINNED:
        text.append(f"{name} {requirements.installedVersion(name) or 'without records'}")
    return ", ".join(text)


def _disk() -> str:
    usage = shutil.disk_usage(Path.home())
    return f"{usage.free / 2**30:.1f} GiB free of {usage.total / 2**30:.1f} GiB, home folder"
