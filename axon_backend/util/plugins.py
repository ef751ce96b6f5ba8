"""What installed packages add to AXON through the entry points of their package metadata."""

from __future__ import annotations

import sys
import warnings
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any


@lru_cache(maxsize=1)
def _all_entries(path: tuple[str, ...]) -> EntryPoints:
    """Those of every package on the path; reading their metadata takes a tenth of a second."""
    return entry_points()


def plugin_entries(group: str) -> list[EntryPoint]:
    """The entry points of a group, by name; what they name is not imported yet."""
    return sorted(_all_entries(tuple(sys.path)).select(group=group), key=lambda entry: entry.name)


def load_plugins(group: str) -> list[Any]:
    """The objects that entry points of a group name, for example ``axon_backend.metrics``.

    A plug-in that cannot be imported is reported in a warning and left out: it must not keep the
    rest of AXON from working.
    """
    found = []
    for entry in plugin_entries(group):
        try:
            found.append(entry.load())
        except Exception as error:  # a stranger's code may raise anything
            warnings.warn(
                f"The plug-in {entry.name!r} ({group}: {entry.value}) could not be loaded and is "
                f"ignored: {type(error).__name__}: {error}",
                stacklevel=2,
            )
    return found
