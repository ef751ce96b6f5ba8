"""Checks on input paths, and reading of text files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from axon_backend.errors import AxonInputError
from axon_backend.util.limits import limit

# A parsed file takes up to 20 times its size in memory; a manifest of 100,000 cases has 30 MB.
MAX_TEXT_MB = ("AXON_MAX_TEXT_MB", 64.0)


def check_input(path: str | os.PathLike[str]) -> None:
    """Refuse paths that can never be read, such as pipes and devices, whose data may never end.

    Raises:
        AxonInputError: the path is empty, contains a null character, cannot be resolved, or names
            a pipe or device. A path that does not exist is accepted here; the reader reports it.
    """
    given = Path(path)
    if isinstance(path, str) and not path.strip():  # Path("") is the current folder
        raise AxonInputError("The path of an input is empty. Give a file or a folder.")
    if "\0" in str(path):  # before Python 3.12, exists() returns False instead of raising
        raise AxonInputError(f"{shown(path)} cannot be opened: its name contains a null character.")
    try:
        neither = given.exists() and not (given.is_file() or given.is_dir())
    except (OSError, ValueError) as error:  # too long, or a loop of links
        why = getattr(error, "strerror", None) or error
        raise AxonInputError(f"{shown(given)} cannot be opened: {why}.") from error
    if neither:
        raise AxonInputError(
            f"{given} is neither a file nor a folder (a pipe or a device). Save it as a file first."
        )


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether the file or folder exists.

    Raises:
        AxonInputError: the path cannot be an input; see ``check_input``.
    """
    check_input(path)
    return Path(path).exists()


def read_text(path: str | os.PathLike[str], what: str = "The file") -> str:
    """Read a UTF-8 text file, with or without a byte-order mark (Windows editors write one).

    Args:
        path: the file.
        what: start of the error message, for example "The manifest".

    Raises:
        AxonInputError: the file cannot be read, is not text, or is larger than AXON_MAX_TEXT_MB.
    """
    check_input(path)
    most = limit(*MAX_TEXT_MB)
    try:
        size = os.stat(path).st_size
        if size > 1e6 * most:
            raise AxonInputError(
                f"{what} {path} has {size / 1e6:.0f} MB, more than the limit of {most:g} MB for "
                f"text files. Give another file, or raise {MAX_TEXT_MB[0]}."
            )
        return Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise AxonInputError(f"{what} {path} cannot be read: {why}.") from error


def read_json(path: str | os.PathLike[str], what: str = "The file", expected: str = "") -> Any:
    """Read a JSON file; see ``read_text``.

    Args:
        path: the file.
        what: start of the error message, for example "The manifest".
        expected: end of the error message: what the file should contain, or what to do.

    Raises:
        AxonInputError: the file cannot be read or is not JSON.
    """
    text = read_text(path, what)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise AxonInputError(f"{what} {path} is not JSON ({why}). {expected}".rstrip()) from error


def shown(path: str | os.PathLike[str]) -> str:
    """A path for a message, shortened to at most 200 characters."""
    text = str(path).replace("\0", "\\0")
    return text if len(text) <= 200 else f"{text[:90]}...{text[-90:]}"
