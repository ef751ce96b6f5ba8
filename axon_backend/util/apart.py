"""No input is ever an output."""

from __future__ import annotations

import os
from pathlib import Path

from axon_backend.errors import AxonInputError

AnyPath = str | os.PathLike[str]


def check_apart(output: AnyPath, *inputs: AnyPath | None, below: bool = False) -> None:
    """Refuse an output that is an input, holds one, or lies in one. The files themselves are
    compared, so that links and other spellings of a path make no difference.

    Args:
        output: the file or folder that will be written; it need not exist.
        inputs: files and folders that are read; None and those that do not exist are skipped.
        below: whether the output may lie in an input folder, for commands that leave it out of
            their reading.

    Raises:
        AxonInputError: the two are not apart.
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
                f"The output folder {output} holds the input {given}; inputs are never "
                "overwritten. Choose an --output without inputs in it."
            )
        if not below and any(_same(folder, given) for folder in _above(target)):
            raise AxonInputError(
                f"The output {output} lies in the input folder {given}; inputs are never modified. "
                "Choose an --output outside it."
            )


def _above(path: AnyPath) -> list[Path]:
    """The folders that a path lies in, by its name and by where its links lead."""
    try:
        return [*Path(os.path.abspath(path)).parents, *Path(os.path.realpath(path)).parents]
    except (OSError, ValueError):  # no such path can exist
        return []


def _same(one: AnyPath, other: AnyPath) -> bool:
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):  # one of them does not exist
        return False
