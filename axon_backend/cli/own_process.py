"""What a command does faster because the process is its own: nobody else uses what it imports.

Some libraries import every optional package that they find, for functions that AXON does not call:
MONAI imports Matplotlib's pyplot, scikit-image, TensorBoard and the statistics of SciPy, which
takes three times as long as MONAI itself and tens of megabytes; NiBabel imports pydicom. PyTorch
imports what its compiler and ``torch.export`` need, a third of its import, and NumPy's ``f2py`` is
imported with SciPy. In a process where others may use these libraries, such as Slicer's, nothing is
changed.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

#: Library -> packages that it does without, if it does not find them while it is imported.
UNUSED: dict[str, tuple[str, ...]] = {
    "monai": (
        "boto3", "fsspec", "jsonschema", "matplotlib", "pydicom", "requests", "scipy.signal",
        "scipy.stats", "skimage", "tensorboard", "tifffile",
    ),
    "nibabel": ("pydicom",),
}  # fmt: skip
#: The PyTorch with which this was tried; of others, all is executed as usual.
TRIED_TORCH = "2.13."
#: Modules that are not executed before something uses them.
LATER = (
    "numpy.f2py", "torch._meta_registrations", "torch.distributions", "torch.export",
    "torch.masked", "torch.nn.intrinsic", "torch.nn.qat", "torch.nn.quantizable",
    "torch.nn.quantized", "torch.quantization",
)  # fmt: skip
#: Library -> what its core needs of the modules that would then not be executed:
#: ``torch.Generator`` gets its metaclass there.
NEEDED = {"torch": "torch._prims.rng_prims"}
#: Library -> the module of :data:`LATER` that must be executed before it: PyTorch's compiler, which
#: Lightning imports, would otherwise register operations twice.
BEFORE = {"torch._dynamo": "torch._meta_registrations"}
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


@cache
def _torch_is_tried() -> bool:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("torch").startswith(TRIED_TORCH)
    except PackageNotFoundError:
        return False


class _Finder(MetaPathFinder):
    """Finds modules as always, but lets :class:`_Loader` load the libraries of :data:`UNUSED` and
    :class:`_LaterLoader` the modules of :data:`LATER`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in BEFORE:
            importlib.import_module(BEFORE[fullname])
        changed = fullname in LATER or fullname in NEEDED
        if fullname not in UNUSED and not (changed and _torch_is_tried()):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            if fullname in UNUSED:
                spec.loader = _Loader(spec.loader, UNUSED[fullname])
            elif fullname in NEEDED:
                spec.loader = _NeedyLoader(spec.loader, NEEDED[fullname])
            else:
                spec.loader = _LaterLoader(spec.loader)
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


class _NeedyLoader(Loader):
    """Loads a library, then a module of :data:`NEEDED`, if there is such a module."""

    def __init__(self, loader: Loader, needed: str) -> None:
        self._loader, self._needed = loader, needed

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        with suppress(ModuleNotFoundError):
            importlib.import_module(self._needed)


class _LaterLoader(Loader):
    """Loads a module when it is used. Unlike ``importlib.util.LazyLoader``, it does not take for
    use that ``inspect`` asks every module for its file."""

    def __init__(self, loader: Loader) -> None:
        self.loader, self.loading = loader, False

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__class__ = _LaterModule


class _LaterModule(ModuleType):
    """Is executed, and becomes an ordinary module, when it is imported again or a name of it is
    used. The first import is no use: PyTorch and NumPy import all their parts."""

    def __getattribute__(self, name: str) -> Any:
        get = super().__getattribute__
        if name.startswith("__") and name != "__spec__":  # imports ask for `__spec__`
            return get(name)
        with _LATER_LOCK:
            spec = get("__spec__")
            later = spec.loader
            if isinstance(later, _LaterLoader) and not later.loading:
                later.loading = True
                try:
                    later.loader.exec_module(self)
                finally:
                    later.loading = False
                spec.loader = self.__loader__ = later.loader
                self.__class__ = ModuleType  # type: ignore[assignment]
        return get(name)


_LATER_LOCK = threading.RLock()  # a module may ask for its own names while it is executed
