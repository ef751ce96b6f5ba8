"""What can be opened as an input at all, and texts read from it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from axon_backend.errors import AxonInputError
from axon_backend.util.limits import limit

# Parsed, a text takes up to 20 times its size in memory; manifests of 100,000 cases take 30 MB.
MAX_TEXT_MB = ("AXON_MAX_TEXT_MB", 64.0)


def check_input(path: str | os.PathLike[str]) -> None:
    """Refuse what is neither file nor folder: reading a pipe waits for ever, a device never ends.

    Raises:
        AxonInputError: it is none, or no path at all. What does not exist passes: the reader says
            it better.
    """
    given = Path(path)
    if isinstance(path, str) and not path.strip():  # it would be the current folder
        raise AxonInputError("The path of an input is empty. Give a file or a folder.")
    if "\0" in str(path):  # Python before 3.12 takes it for a file that does not exist
        raise AxonInputError(f"{shown(path)} cannot be opened: its name holds a null character.")
    try:
        neither = given.exists() and not (given.is_file() or given.is_dir())
    except (OSError, ValueError) as error:  # too long, a loop of links
        why = getattr(error, "strerror", None) or error
        raise AxonInputError(f"{shown(given)} cannot be opened: {why}.") from error
    if neither:
        raise AxonInputError(
            f"{given} is neither a file nor a folder (a pipe or a device). Save it as a file first."
        )


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether there is such a file or folder.

    Raises:
        AxonInputError: it cannot be an input, see ``check_input``.
    """
    check_input(path)
    return Path(path).exists()


def read_text(path: str | os.PathLike[str], what: str = "The file") -> str:
    """A text file in UTF-8, with or without a byte-order mark (editors on Windows write one).

    Args:
        path: the file.
        what: begins the message, for example "The manifest".

    Raises:
        AxonInputError: it cannot be read, is no text, or larger than AXON_MAX_TEXT_MB allows.
    """
    check_input(path)
    most = limit(*MAX_TEXT_MB)
    try:
        size = os.stat(path).st_size
        if size > 1e6 * most:
            raise AxonInputError(
                f"{what} {path} is {size / 1e6:.0f} MB, more than the limit of {most:g} MB for a "
                f"text. Give another file, or set {MAX_TEXT_MB[0]} higher."
            )
        return Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise AxonInputError(f"{what} {path} cannot be read: {why}.") from error


def read_json(path: str | os.PathLike[str], what: str = "The file", expected: str = "") -> Any:
    """The value in a JSON file; see ``read_text``.

    Args:
        path: the file.
        what: begins the message, for example "The manifest".
        expected: ends the message: what the file should be, or what to do.

    Raises:
        AxonInputError: it cannot be read or is not JSON.
    """
    text = read_text(path, what)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise AxonInputError(f"{what} {path} is not JSON ({why}). {expected}".rstrip()) from error


def shown(path: str | os.PathLike[str]) -> str:
    """A path as a message can hold it: not longer than a line or two."""
    text = str(path).replace("\0", "\\0")
    return text if len(text) <= 200 else f"{text[:90]}...{text[-90:]}"
