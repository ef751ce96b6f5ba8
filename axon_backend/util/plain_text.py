"""Text from outside, such as ids and descriptions, made harmless where it is shown."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def no_formula(value: object) -> str:
    """A cell of a CSV file. Spreadsheets evaluate what begins like a formula, so that gets an
    apostrophe in front; numbers stay as they are."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) and not _is_number(text) else text


def no_markdown(value: object) -> str:
    """A line of Markdown in which nothing is a tag, a table's cell, a link or code."""
    text = " ".join(str(value).split())
    return re.sub(r"(\\*)([<>|\[\]`])", r"\1\1\\\2", text)


def recorded(path: str | os.PathLike[str]) -> str:
    """An input as results and reports name it: without its folders, which often name the user or
    the patient, unless the environment variable AXON_RECORD_PATHS is set (to anything but 0)."""
    whole = os.environ.get("AXON_RECORD_PATHS", "0") not in ("", "0")
    return str(path) if whole else Path(path).name or Path(os.path.abspath(path)).name  # "."


def recorded_word(word: str) -> str:
    """A word of a command line, ``--option=path`` too, with a path as ``recorded`` names it."""
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return option + equals + recorded(value) if _has_folder(value) else word


def without_folders(text: str, paths: Iterable[str | os.PathLike[str] | None]) -> str:
    """A message in which inputs are named as ``recorded`` does."""
    spellings = {
        spelling
        for path in paths
        if path is not None
        for spelling in (str(path), os.path.abspath(path), os.path.realpath(path))
        if _has_folder(spelling)  # not ".", which ends sentences
    }
    for spelling in sorted(spellings, key=len, reverse=True):
        text = text.replace(spelling, recorded(spelling))
    return text


def _has_folder(path: str) -> bool:
    return any(separator in path for separator in (os.sep, os.altsep or os.sep))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
