"""What a command does faster because the process is its own: nobody else uses what it imports.

Some libraries import every optional package that they find, for functions that AXON does not call:
MONAI imports Matplotlib's pyplot, scikit-image, TensorBoard and much of SciPy, which takes three
times as long as MONAI itself and tens of megabytes; NiBabel imports pydicom. MONAI also imports
every module of its own, of which AXON uses the networks and one metric; SciPy asks NumPy for
everything that it has, its Fortran compiler too. In a process where others may use these libraries,
such as Slicer's, nothing is changed.
"""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import Any

#: Library -> packages that it does without, if it does not find them while it is imported.
UNUSED: dict[str, tuple[str, ...]] = {
    "monai": (
        "boto3", "fsspec", "ignite", "jsonschema", "matplotlib", "nibabel", "pandas", "pydicom",
        "requests", "scipy.optimize", "scipy.signal", "scipy.sparse", "scipy.spatial",
        "scipy.stats", "skimage", "tensorboard", "tifffile",
    ),
    "nibabel": ("pydicom",),
}  # fmt: skip
#: Is loaded when something of it is used.
LATER = "numpy.f2py"
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
    """Finds the libraries of :data:`UNUSED` as always, but lets :class:`_Loader` load them, and
    raises ModuleNotFoundError for what they do without while they are loaded; finds
    :data:`LATER`."""

    def __init__(self) -> None:
        self._hidden: list[tuple[str, ...]] = []  # by each module that is being loaded

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        hidden = self._hidden[-1] if self._hidden else ()
        if any(fullname == name or fullname.startswith(f"{name}.") for name in hidden):
            raise ModuleNotFoundError(f"{fullname} is not loaded here", name=fullname)
        if fullname == LATER:
            spec = PathFinder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = LazyLoader(spec.loader)
            return spec
        unused = UNUSED.get(fullname.partition(".")[0])
        spec = None if unused is None else PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None and unused is not None:
            spec.loader = _Loader(spec.loader, unused, self)
        return spec

    @contextmanager
    def hide(self, names: tuple[str, ...]) -> Iterator[None]:
        """Hide these packages, and no others, until the end of the block."""
        self._hidden.append(names)
        try:
            yield
        finally:
            self._hidden.pop()


class _Loader(Loader):
    """Loads a module without some packages; with them if it turns out to need them."""

    def __init__(self, loader: Loader, unused: tuple[str, ...], finder: _Finder) -> None:
        self._loader, self._unused, self._finder = loader, unused, finder

    def __getattr__(self, name: str) -> Any:  # sources and data files
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        try:
            with self._finder.hide(self._unused):
                self._loader.exec_module(module)
        except ImportError:
            for part in [known for known in sys.modules if known.startswith(f"{name}.")]:
                del sys.modules[part]
            with self._finder.hide(()):
                self._loader.exec_module(module)
        if name == "monai.utils.module":
            vars(module)["load_submodules"] = _load_apps
        if name == "monai":
            vars(module)["__getattr__"] = _monai_part


def _load_apps(monai: ModuleType, *_: Any, **__: Any) -> tuple[list[ModuleType], list[str]]:
    """Instead of every module of MONAI, load the first one: its modules import one another in
    circles, which only works from there. The others are loaded when they are imported."""
    return [import_module(f"{monai.__name__}.apps")], []


def _monai_part(name: str) -> ModuleType:
    """A package of MONAI that was not imported yet, as in ``monai.losses``."""
    if name not in sys.modules["monai"].__all__:
        raise AttributeError(f"module 'monai' has no attribute {name!r}")
    return import_module(f"monai.{name}")
