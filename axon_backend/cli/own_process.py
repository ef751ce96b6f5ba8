"""What a command does faster because the process is its own: nobody else uses what it imports.

Some libraries import every optional package that they find, for functions that AXON does not call:
MONAI imports Matplotlib's pyplot, scikit-image, TensorBoard and the statistics of SciPy, which
takes three times as long as MONAI itself and tens of megabytes; NiBabel imports pydicom. In a
process where others may use these libraries, such as Slicer's, nothing is changed.
"""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

#: Library -> packages that it does without, if it does not find them while it is imported.
UNUSED: dict[str, tuple[str, ...]] = {
    "monai": (
        "boto3", "fsspec", "jsonschema", "matplotlib", "pydicom", "requests", "scipy.signal",
        "scipy.stats", "skimage", "tensorboard", "tifffile",
    ),
    "nibabel": ("pydicom",),
}  # fmt: skip
# Objects created before Python looks for cycles among them: modules are many objects that stay.
GARBAGE_THRESHOLD = 50_000


def prepare() -> None:
    """Call at the start of a command's process."""
    gc.set_threshold(GARBAGE_THRESHOLD, 20, 20)
    # At the end Python would search all modules for cycles, for half a second; the memory is freed
    # with the process.
    atexit.register(gc.freeze)
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds the libraries of :data:`UNUSED` as always, but lets :class:`_Loader` load them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname in UNUSED else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, UNUSED[fullname])
        return spec


class _Loader(Loader):
    """Loads a library without some packages; with them if it turns out to need them."""

    def __init__(self, loader: Loader, unused: tuple[str, ...]) -> None:
        self._loader, self._unused = loader, unused

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        hide = _Hide(self._unused)
        sys.meta_path.insert(0, hide)
        try:
            self._loader.exec_module(module)
            return
        except ImportError:
            parts = f"{module.__name__}."
            for name in [name for name in sys.modules if name.startswith(parts)]:
                del sys.modules[name]
        finally:
            sys.meta_path.remove(hide)
        self._loader.exec_module(module)


class _Hide(MetaPathFinder):
    """Raises ModuleNotFoundError for some packages, as if they were not installed."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if any(fullname == name or fullname.startswith(f"{name}.") for name in self._names):
            raise ModuleNotFoundError(f"{fullname} is not loaded here", name=fullname)
        return None
