"""Lazy access to `axon_backend`, which is imported only when needed."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
import traceback
from pathlib import Path
from types import ModuleType

from slicer.i18n import tr as _

from AXONReconstructionLib.setup import torch_libraries

# Import names; requirements.txt lists the names on PyPI.
NEEDED = ("torch", "monai", "einops", "scipy", "SimpleITK", "pydicom", "nibabel", "safetensors")
_ready = False  # set once the packages were found


def load(name: str = "") -> ModuleType:
    """Import `axon_backend` or one of its modules, for example ``load("registration.place")``.

    Raises:
        ImportError: the package or a dependency is missing; the message is readable.
    """
    global _ready
    if not _ready:
        missing = available()
        if missing is not None:
            raise ImportError(missing)
        _ready = True
    if threading.current_thread() is not threading.main_thread():  # which imports light parts only
        torch_libraries.load()
    return importlib.import_module(f"axon_backend.{name}" if name else "axon_backend")


def loadLight(name: str) -> ModuleType:
    """Import a module of `axon_backend` that needs none of the packages that Setup installs, for
    example ``loadLight("methods.registry")``.

    Raises:
        ImportError: `axon_backend` itself was not found.
    """
    _findPackage()
    return importlib.import_module(f"axon_backend.{name}")


def importTorch() -> ModuleType:
    """Import PyTorch; on a worker, the main thread can go on meanwhile."""
    torch_libraries.load()
    return importlib.import_module("torch")


def available() -> str | None:
    """None if all dependencies are installed, otherwise a message that names the missing ones.

    Does not import the packages, so it can be called at any time.
    """
    if not _findPackage():
        return _("The Python package axon_backend was not found. Reinstall the AXON extension.")
    missing = [name for name in NEEDED if not _isInstalled(name)]
    if missing:
        return _(
            "AXON requires Python packages that are not installed: {names}. "
            "Click Install in the Setup section."
        ).format(names=", ".join(missing))
    return None


def explain(error: BaseException) -> tuple[str, str]:
    """A message for the user, and the details.

    Messages of the backend's own errors are used as they are; other errors are reported as
    unexpected.
    """
    details = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    text = str(error).strip()
    name = type(error).__name__
    if name in ("AxonInputError", "PoorRegistration", "Cancelled", "JobCancelled") or (
        isinstance(error, ImportError) and text and not isinstance(error, ModuleNotFoundError)
    ):
        return text, details
    if isinstance(error, ModuleNotFoundError):
        return (
            _(
                "The Python package {name} is not installed. Click Install in the Setup section."
            ).format(name=error.name or text),
            details,
        )
    if isinstance(error, MemoryError) or name == "OutOfMemoryError":
        return (
            _(
                "Out of memory. Close other volumes or programs, or run fewer stages, and try "
                "again."
            ),
            details,
        )
    return (
        _(
            "Unexpected error: {error}. Try again; if it recurs, copy the details into a bug "
            "report."
        ).format(error=(text.splitlines()[0] if text else name).rstrip(".")),
        details,
    )


def isCancel(error: BaseException) -> bool:
    """Whether an exception means that the backend was cancelled."""
    errors = sys.modules.get("axon_backend.errors")
    return errors is not None and isinstance(error, errors.Cancelled)


def _isInstalled(name: str) -> bool:
    if name in sys.modules:
        return sys.modules[name] is not None
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _findPackage() -> bool:
    """Whether the package is installed, next to the modules, or in the surrounding repository."""
    if _isInstalled("axon_backend"):
        return True
    root = Path(__file__).resolve().parents[3]
    if not (root / "axon_backend" / "__init__.py").is_file():
        return False
    # Appended, so that the repository's folders do not shadow other modules.
    sys.path.append(str(root))
    importlib.invalidate_caches()
    return True
