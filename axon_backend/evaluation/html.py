"""HTML pages from Jinja2 templates: single files without external resources.

All values in a template are escaped; a content security policy forbids everything that is not part
of the page.
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
    """Render a page as HTML5.

    Args:
        template: file name in ``folder``; the template extends ``page.html`` of :data:`SHARED`.
        folder: folder of the template and its includes.
        content: variables of the template. ``script`` is the only JavaScript that may run.
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
    """Render a script for :func:`render_page` from a template with values in the form
    ``{{ value | tojson }}``."""
    environment = Environment(loader=FileSystemLoader([folder]), undefined=StrictUndefined)
    return environment.get_template(template).render(**content)


def number(value: Any) -> str:
    """A value with four significant digits; a dash if it is None or not finite."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        return "–" if value is None else str(value)
    if isinstance(value, int):
        return str(value)
    return f"{value:.4g}" if math.isfinite(value) else "–"


def _sha256(text: str) -> str:
    """The digest of a script in the form of a content security policy."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def data_uri(content: bytes, media_type: str) -> str:
    """A file's content as a ``data:`` URI, for pages that consist of one file."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
