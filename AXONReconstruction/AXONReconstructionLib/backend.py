"""The way to `axon_backend`, which is imported only when something is computed."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

from slicer.i18n import tr as _

# By these names Python imports them; what they are called on PyPI stands in requirements.txt.
NEEDED = ("torch", "monai", "einops", "scipy", "SimpleITK", "pydicom", "nibabel", "safetensors")
_ready = False  # looked for once, with success


def load(name: str = "") -> ModuleType:
    """Import `axon_backend` or one of its modules, for example ``load("registration.place")``.

    Raises:
        ImportError: the package or something it needs is missing; the message is a sentence.
    """
    global _ready
    if not _ready:
        missing = available()
        if missing is not None:
            raise ImportError(missing)
        _ready = True
    return importlib.import_module(f"axon_backend.{name}" if name else "axon_backend")


def available() -> str | None:
    """None when everything needed is installed, else the sentence that says what is missing.

    Looks without importing, so that it may be asked at any time.
    """
    if not _findPackage():
        return _(
            "The Python package axon_backend was not found beside the module. "
            "Install the AXON extension again."
        )
    missing = [name for name in NEEDED if not _isInstalled(name)]
    if missing:
        return _(
            "AXON needs Python packages that are not installed yet: {names}. "
            "Press Install in the Setup section."
        ).format(names=", ".join(missing))
    return None


def explain(error: BaseException) -> tuple[str, str]:
    """One plain sentence for the user, and the details to unfold.

    The backend's own errors speak for themselves; anything else is named as unexpected.
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
                "The Python package {name} is not installed. Press Install in the Setup section."
            ).format(name=error.name or text),
            details,
        )
    if isinstance(error, MemoryError) or name == "OutOfMemoryError":
        return (
            _(
                "The computer's memory is full. Close other volumes or programs, or run fewer "
                "stages, and try again."
            ),
            details,
        )
    return (
        _(
            "Something went wrong that AXON did not expect ({what}). Try again; if it comes back, "
            "copy the details into a report."
        ).format(what=text.splitlines()[0] if text else name),
        details,
    )


def isCancel(error: BaseException) -> bool:
    """Whether an exception is the backend's way of saying that it was asked to stop."""
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
    """Installed, beside the modules, or in the repository that the module's folder lies in."""
    if _isInstalled("axon_backend"):
        return True
    root = Path(__file__).resolve().parents[2]
    if not (root / "axon_backend" / "__init__.py").is_file():
        return False
    # Last on the path: the repository's folders must not hide modules of others.
    sys.path.append(str(root))
    importlib.invalidate_caches()
    return True
