"""What installed packages add to AXON through the entry points of their package metadata."""

from __future__ import annotations

import warnings
from importlib.metadata import entry_points
from typing import Any


def load_plugins(group: str) -> list[Any]:
    """The objects that entry points of a group name, for example ``axon_backend.metrics``.

    A plug-in that cannot be imported is reported in a warning and left out: it must not keep the
    rest of AXON from working.
    """
    found = []
    for entry in sorted(entry_points(group=group), key=lambda entry: entry.name):
        try:
            found.append(entry.load())
        except Exception as error:  # a stranger's code may raise anything
            warnings.warn(
                f"The plug-in {entry.name!r} ({group}: {entry.value}) could not be loaded and is "
                f"ignored: {type(error).__name__}: {error}",
                stacklevel=2,
            )
    return found
