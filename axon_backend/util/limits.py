"""Limits that the environment can set."""

from __future__ import annotations

import math
import os

from axon_backend.errors import AxonInputError


def limit(name: str, default: float) -> float:
    """The number in the environment variable ``name``, or ``default``.

    Raises:
        AxonInputError: it is no positive number.
    """
    text = os.environ.get(name, "").strip()
    try:
        value = float(text) if text else default
    except ValueError:
        value = math.nan
    if not value > 0:
        raise AxonInputError(
            f"The environment variable {name} is {text!r}; give a positive number, or unset it "
            f"(then it is {default:g})."
        )
    return value
