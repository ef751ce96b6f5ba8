"""Plug-ins: what installed packages add to AXON through entry points."""

from __future__ import annotations

import sys
import warnings
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any


@lru_cache(maxsize=1)
def _all_entries(path: tuple[str, ...]) -> Any:
    """The entry points of every package on the path, cached: reading them takes about 0.1 s."""
    return entry_points()


def plugin_entries(group: str) -> list[EntryPoint]:
    """The entry points of a group, sorted by name; their objects are not imported yet."""
    return sorted(_all_entries(tuple(sys.path)).select(group=group), key=lambda entry: entry.name)


def load_plugins(group: str) -> list[Any]:
    """Load the objects of an entry-point group, for example ``axon_backend.metrics``.

    A plug-in that cannot be imported is reported in a warning and skipped, so that the rest of
    AXON still works.
    """
    found = []
    for entry in plugin_entries(group):
        try:
            found.append(entry.load())
        except Exception as error:  # third-party code may raise anything
            warnings.warn(
                f"The plug-in {entry.name!r} ({group}: {entry.value}) could not be loaded and is "
                f"ignored: {type(error).__name__}: {error}",
                stacklevel=2,
            )
    return found
