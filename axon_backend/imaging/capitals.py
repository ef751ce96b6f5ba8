"""Words of a header in one spelling, so that they can be compared."""

from __future__ import annotations

import unicodedata


def capitals(text: str) -> str:
    """A text in capital letters without accents (``Fuß`` as ``FUSS``); other characters that ASCII
    does not have are left out."""
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    return plain.encode("ascii", "ignore").decode().upper()
