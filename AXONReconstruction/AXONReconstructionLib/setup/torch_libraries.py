"""Loading PyTorch's shared libraries while other threads run."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import sys
from pathlib import Path


@functools.cache
def load() -> None:
    """Load the shared libraries that ``import torch`` would load while it holds Python's lock
    (the GIL), so that the main thread can go on; call it on a worker before the first import.
    Only the first call does anything.

    Without PyTorch, or if a library cannot be loaded, the import itself says what is wrong. On
    Windows PyTorch loads them without the lock.
    """
    if sys.platform == "win32" or "torch" in sys.modules:
        return
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return
    folder = Path(spec.origin).parent / "lib"
    suffix = "dylib" if sys.platform == "darwin" else "so"
    # A call through ctypes releases the lock; ctypes.CDLL(path), like the import, keeps it.
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.restype, dlopen.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_int)
    # In the order and with the flags of torch/__init__.py.
    for name, flags in (
        ("libtorch_global_deps", os.RTLD_NOW | os.RTLD_GLOBAL),
        ("libtorch_python", os.RTLD_NOW),
    ):
        if not dlopen(os.fsencode(folder / f"{name}.{suffix}"), flags):
            return
