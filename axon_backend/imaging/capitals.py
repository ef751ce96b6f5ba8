"""Uniform spelling of words in headers, so that they can be compared."""

from __future__ import annotations

import unicodedata


def capitals(text: str) -> str:
    """A string in capital letters without accents (``Fuß`` as ``FUSS``); other non-ASCII characters
    are dropped."""
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    return plain.encode("ascii", "ignore").decode().upper()
