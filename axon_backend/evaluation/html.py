"""HTML pages from Jinja2 templates: one file each, which loads nothing from elsewhere.

Everything that is put into a template is escaped; a content security policy forbids what is not in
the page.
"""

from __future__ import annotations

import base64
import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

#: The page that every other one extends (`page.html`), its style and its macros.
SHARED = Path(__file__).parent / "templates"


def render_page(template: str, folder: Path = SHARED, **content: Any) -> str:
    """A page as HTML5.

    Args:
        template: the file's name in ``folder``; it extends ``page.html`` of :data:`SHARED`.
        folder: of the template and of what it includes.
        content: the template's variables. ``script`` is the only JavaScript that may run.
    """
    environment = Environment(
        loader=FileSystemLoader([folder, SHARED]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["sha256"] = _sha256
    return environment.get_template(template).render(**{"script": "", **content}) + "\n"


def render_script(template: str, folder: Path, **content: Any) -> str:
    """A script for :func:`render_page` from a template, in which values stand as
    ``{{ value | tojson }}``."""
    environment = Environment(loader=FileSystemLoader([folder]), undefined=StrictUndefined)
    return environment.get_template(template).render(**content)


def number(value: Any) -> str:
    """Four significant digits; a dash for what is missing, null or not a number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        return "–" if value is None else str(value)
    if isinstance(value, int):
        return str(value)
    return f"{value:.4g}" if math.isfinite(value) else "–"


def _sha256(text: str) -> str:
    """The digest of a script, as a content security policy takes it."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
