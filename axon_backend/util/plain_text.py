"""Text from outside, such as ids and descriptions, made harmless where it is shown."""

from __future__ import annotations

import re

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


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
