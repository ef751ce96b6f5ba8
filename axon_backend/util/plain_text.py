"""Escape external text, such as ids and descriptions, for CSV and Markdown; shorten paths."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def no_formula(value: object) -> str:
    """Text for a CSV cell. Spreadsheets evaluate text that starts like a formula, so an apostrophe
    is put in front of it; numbers are unchanged."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) and not _is_number(text) else text


def no_markdown(value: object) -> str:
    """Text on one line, escaped so that Markdown shows no tag, table cell, link or code in it."""
    text = " ".join(str(value).split())
    return re.sub(r"(\\*)([<>|\[\]`])", r"\1\1\\\2", text)


def recorded(path: str | os.PathLike[str]) -> str:
    """The name of an input in results and reports: without its folders, which often name the user
    or the patient, unless the environment variable AXON_RECORD_PATHS is set (other than to 0)."""
    whole = os.environ.get("AXON_RECORD_PATHS", "0") not in ("", "0")
    return str(path) if whole else Path(path).name or Path(os.path.abspath(path)).name  # "."


def recorded_word(word: str) -> str:
    """A word of a command line (also ``--option=path``), its path shortened by ``recorded``."""
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return option + equals + recorded(value) if _has_folder(value) else word


def without_folders(text: str, paths: Iterable[str | os.PathLike[str] | None]) -> str:
    """A message in which the paths of inputs are shortened by ``recorded``."""
    spellings = {
        spelling
        for path in paths
        if path is not None
        for spelling in (str(path), os.path.abspath(path), os.path.realpath(path))
        if _has_folder(spelling)  # not ".", which also ends sentences
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
