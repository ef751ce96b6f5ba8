"""Limits that can be set by environment variables."""

from __future__ import annotations

import math
import os

from axon_backend.errors import AxonInputError


def limit(name: str, default: float) -> float:
    """The number in the environment variable ``name``, or ``default``.

    Raises:
        AxonInputError: the variable is not a positive number.
    """
    text = os.environ.get(name, "").strip()
    try:
        value = float(text) if text else default
    except ValueError:
        value = math.nan
    if not value > 0:
        raise AxonInputError(
            f"The environment variable {name} is {text!r}; set it to a positive number, or unset "
            f"it to use the default, {default:g}."
        )
    return value
