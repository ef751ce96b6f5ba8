"""Methods by name: the built-in ones, and those of other packages.

A package adds a method through the entry-point group ``axon_backend.methods``::

    [project.entry-points."axon_backend.methods"]
    my_method = "my_package:INFO"        # a MethodInfo

Nothing else has to be edited: training, bundles, reconstruction, evaluation, the command line and
the Slicer modules look up methods here.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from axon_backend.errors import AxonInputError
from axon_backend.methods.info import MethodInfo
from axon_backend.util.plugins import plugin_entries

if TYPE_CHECKING:
    from axon_backend.methods.protocol import Method

ENTRY_POINTS = "axon_backend.methods"
DEFAULT = "axon"
# Folders of this package that contain a method; each defines INFO.
BUILT_IN = (
    "axon",
    "atlas_mean",
    "nearest_patient",
    "repeat_concatenate",
    "x2ct",
    "diffux2ct",
    "global_vector_ldm",
)


def available() -> dict[str, MethodInfo]:
    """Every known method by name: the built-in ones first, then those of other packages.

    A package whose entry point cannot be imported is left out; :func:`info` raises its error.
    """
    found = {name: _built_in(name) for name in BUILT_IN}
    for point in plugin_entries(ENTRY_POINTS):
        if point.name in found:
            continue
        try:
            found[point.name] = _checked(point.name, point.load())
        except Exception:  # third-party packages may raise anything
            continue
    return found


def info(name: str) -> MethodInfo:
    """The description of a method.

    Raises:
        AxonInputError: there is no such method, or its package cannot be loaded.
    """
    if name in BUILT_IN:
        return _built_in(name)
    for point in plugin_entries(ENTRY_POINTS):
        if point.name != name:
            continue
        try:
            return _checked(name, point.load())
        except Exception as error:
            raise AxonInputError(
                f"The method {name!r} could not be loaded from {point.value}: {error}. Repair or "
                "remove the package that installs it."
            ) from error
    raise AxonInputError(
        f"There is no method {name!r}; known: {', '.join(sorted(available()))}. Install the "
        "package that provides it, or update AXON."
    )


def load(name: str) -> Method:
    """The method itself (imports torch). Raises AxonInputError as :func:`info` does."""
    return info(name).load()


def method_name(config: Mapping[str, Any]) -> str:
    """The method named in the configuration of a bundle or a run; if none is named, as in bundles
    before format 3, it is AXON."""
    return str(config.get("method", DEFAULT))


def _built_in(name: str) -> MethodInfo:
    return importlib.import_module(f"axon_backend.methods.{name}").INFO


def _checked(name: str, found: Any) -> MethodInfo:
    if not isinstance(found, MethodInfo) or found.name != name:
        raise TypeError(f"its entry point must be a MethodInfo named {name!r}, got {found!r}")
    return found
