"""What can be opened as an input at all."""

from __future__ import annotations

import os
from pathlib import Path

from axon_backend.errors import AxonInputError


def check_input(path: str | os.PathLike[str]) -> None:
    """Refuse what is neither file nor folder: reading a pipe waits for ever, a device never ends.

    Raises:
        AxonInputError: it is none. What does not exist passes: the reader says it better.
    """
    given = Path(path)
    if given.exists() and not (given.is_file() or given.is_dir()):
        raise AxonInputError(
            f"{given} is neither a file nor a folder (a pipe or a device). Save it as a file first."
        )
