"""Registration of X-rays to a CT or the atlas: ``from axon_backend.registration import register``.

The names are loaded on first use, so that importing a single module is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from axon_backend.registration.pipeline import Landmarks, Registration, register

__all__ = ["Landmarks", "Registration", "register"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("axon_backend.registration.pipeline"), name)
