"""Keep outputs apart from inputs, which are never overwritten."""

from __future__ import annotations

import os
from pathlib import Path

from axon_backend.errors import AxonInputError

AnyPath = str | os.PathLike[str]


def check_apart(output: AnyPath, *inputs: AnyPath | None, below: bool = False) -> None:
    """Refuse an output that is an input, contains one, or lies inside one.

    Files are compared by identity (``os.path.samefile``), so links and other spellings of a path
    are recognised.

    Args:
        output: the file or folder to be written; it need not exist.
        inputs: files and folders that are read; None and paths that do not exist are skipped.
        below: accept an output inside an input folder, for commands that do not read it as input.

    Raises:
        AxonInputError: the output is an input, contains one, or lies inside one.
    """
    target = os.path.abspath(output)
    for given in inputs:
        if given is None or not os.path.lexists(given):
            continue
        if _same(given, target):
            raise AxonInputError(
                f"{output} is both input and output; inputs are never overwritten. Choose another "
                "--output."
            )
        if any(_same(folder, target) for folder in _above(given)):
            raise AxonInputError(
                f"The output folder {output} contains the input {given}; inputs are never "
                "overwritten. Choose an --output that contains no inputs."
            )
        if not below and any(_same(folder, given) for folder in _above(target)):
            raise AxonInputError(
                f"The output {output} lies in the input folder {given}; inputs are never modified. "
                "Choose an --output outside it."
            )


def _above(path: AnyPath) -> list[Path]:
    """The parents of a path, both as it is given and with its links resolved."""
    try:
        return [*Path(os.path.abspath(path)).parents, *Path(os.path.realpath(path)).parents]
    except (OSError, ValueError):  # not a valid path
        return []


def _same(one: AnyPath, other: AnyPath) -> bool:
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):  # one of them does not exist
        return False
