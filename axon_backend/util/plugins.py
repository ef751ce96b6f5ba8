"""Plug-ins: what installed packages add to AXON through entry points."""

from __future__ import annotations

import warnings
from importlib.metadata import entry_points
from typing import Any


def load_plugins(group: str) -> list[Any]:
    """Load the objects of an entry-point group, for example ``axon_backend.metrics``.

    A plug-in that cannot be imported is reported in a warning and skipped, so that the rest of
    AXON still works.
    """
    found = []
    for entry in sorted(entry_points(group=group), key=lambda entry: entry.name):
        try:
            found.append(entry.load())
        except Exception as error:  # third-party code may raise anything
            warnings.warn(
                f"The plug-in {entry.name!r} ({group}: {entry.value}) could not be loaded and is "
                f"ignored: {type(error).__name__}: {error}",
                stacklevel=2,
            )
    return found
