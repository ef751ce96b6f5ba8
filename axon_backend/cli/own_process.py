"""What a command does faster because the process is its own: nobody else uses what it imports.

When MONAI is imported, it imports every optional package that it finds (Matplotlib's pyplot,
scikit-image, TensorBoard, statistics of SciPy), for functions that AXON does not call. This takes
three times as long as MONAI itself, and tens of megabytes. In a process where others may use MONAI, such as
Slicer's, nothing is changed.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

#: Packages that MONAI can do without, if it does not find them while it is imported.
UNUSED = ("boto3", "fsspec", "matplotlib", "scipy.signal", "scipy.stats", "skimage", "tensorboard")
# Objects created before Python looks for cycles among them: modules are many objects that stay.
GARBAGE_THRESHOLD = 50_000


def prepare() -> None:
    """Call at the start of a command's process."""
    gc.set_threshold(GARBAGE_THRESHOLD, 20, 20)
    if not any(isinstance(finder, _MonaiFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _MonaiFinder())


class _MonaiFinder(MetaPathFinder):
    """Finds MONAI as always, but lets :class:`_Loader` load it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname == "monai" else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(Loader):
    """Loads MONAI without the packages :data:`UNUSED`; with them if it turns out to need them."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        hide = _Hide()
        sys.meta_path.insert(0, hide)
        try:
            self._loader.exec_module(module)
            return
        except ImportError:
            for name in [name for name in sys.modules if name.startswith("monai.")]:
                del sys.modules[name]
        finally:
            sys.meta_path.remove(hide)
        self._loader.exec_module(module)


class _Hide(MetaPathFinder):
    """Finds none of the packages :data:`UNUSED`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if any(fullname == name or fullname.startswith(f"{name}.") for name in UNUSED):
            raise ModuleNotFoundError(f"{fullname} is not loaded for MONAI", name=fullname)
        return None
