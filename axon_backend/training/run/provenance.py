"""Provenance of a run: commit of the code, package versions, machine."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from axon_backend import __version__

PACKAGES = ("torch", "monai", "numpy", "scipy", "SimpleITK", "pydicom", "lightning-fabric")


def git_commit(folder: Path | None = None) -> str | None:
    """The commit of the checkout that this code runs from, with "-changed" if tracked files
    differ from it; None outside a checkout of AXON."""
    root = Path(__file__).resolve().parents[3] if folder is None else folder

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=True, timeout=20
        ).stdout.strip()

    if not (root / ".git").exists():
        return None
    try:
        commit = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "axon_backend")
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("-changed" if changed else "")


def environment() -> dict[str, Any]:
    """Versions and machine, for run.json."""
    import torch

    packages: dict[str, str] = {}
    for name in PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    found: dict[str, Any] = {
        "axon": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "executable": sys.executable,
        "cpu_threads": torch.get_num_threads(),
        "packages": packages,
    }
    if torch.cuda.is_available():
        found["gpus"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        found["cuda"] = torch.version.cuda
    return found


def memory_gb(device: Any) -> float:
    """Peak memory: that of the GPU as reported by PyTorch, else that of this process."""
    import torch

    if getattr(device, "type", "cpu") == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e9 if sys.platform == "darwin" else 1e6)
