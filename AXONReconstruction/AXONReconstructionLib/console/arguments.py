"""Validation of the arguments of the console API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import slicer

from AXONReconstructionLib.setup import backend

MAX_INT = 2**63 - 1


def requireMarkupsNode(node: Any, name: str) -> None:
    """Check that an argument is a markups node.

    Args:
        name: of the argument, for the message.

    Raises:
        TypeError: it is not a markups node.
    """
    if not isinstance(node, slicer.vtkMRMLMarkupsNode):
        raise TypeError(f"{name} must be a markups node, got {node!r}")


def integer(value: Any, name: str, minimum: int) -> int:
    """The value as an int, if it is an integer in [minimum, `MAX_INT`].

    Raises:
        TypeError: it is not an integer.
        AxonInputError: it is out of range.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if not minimum <= value <= MAX_INT:
        raise backend.load("errors").AxonInputError(
            f"{name} must be an integer from {minimum} to {MAX_INT}, got {value}."
        )
    return int(value)


def stageNames(stages: str | Iterable[str] | None) -> tuple[str, ...] | None:
    """Stage names as a tuple; a single name, or ``all``, is accepted as well, and None is the
    stages that the model recommends."""
    if stages is None:
        return None
    return (stages,) if isinstance(stages, str) else tuple(stages)


def stepCounts(steps: Any) -> dict[str, int] | None:
    """Steps by stage, without the zeros that stand for the model default.

    Raises:
        TypeError: it is not a dictionary of integers.
        AxonInputError: a number is negative. The model's method checks the names of the stages.
    """
    if steps is None:
        return None
    if not isinstance(steps, Mapping):  # a dictionary of a parameter node is not a `dict`
        raise TypeError(f"steps must be a dictionary from stage to number of steps, got {steps!r}")
    for stage, count in steps.items():
        integer(count, f"steps[{stage!r}]", 0)
    return {stage: count for stage, count in steps.items() if count} or None
