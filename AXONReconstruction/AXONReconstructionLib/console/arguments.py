"""Checks of what a script gives to the console API: a wrong kind is named at once."""

from __future__ import annotations

import slicer

from AXONReconstructionLib.setup import backend

STAGES = ("coarse", "fine", "sr")
LARGEST = 2**63 - 1


def volumeNode(node, name: str):
    """The node itself.

    Raises:
        TypeError: it is no volume node.
    """
    return _node(node, slicer.vtkMRMLVolumeNode, name, "a volume node of the scene")


def markupsNode(node, name: str):
    """The node itself.

    Raises:
        TypeError: it is no markups node.
    """
    return _node(node, slicer.vtkMRMLMarkupsNode, name, "a list of points of the scene")


def wholeNumber(value, name: str, least: int) -> int:
    """The value itself.

    Raises:
        TypeError: it is no whole number.
        AxonInputError: it is out of range.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} is a whole number, got {value!r}")
    if not least <= value <= LARGEST:
        raise backend.load("errors").AxonInputError(
            f"{name} is a whole number from {least} to {LARGEST}, got {value}."
        )
    return int(value)


def stageNames(stages) -> tuple[str, ...]:
    """Names of stages, also of one alone."""
    return (stages,) if isinstance(stages, str) else tuple(stages)


def stepCounts(steps) -> dict[str, int] | None:
    """Steps by stage, without the zeros that stand for the bundle's own.

    Raises:
        TypeError: it is no dictionary of whole numbers.
        AxonInputError: a stage is not known.
    """
    if steps is None:
        return None
    if not isinstance(steps, dict):
        raise TypeError(f"steps is a dictionary such as {{'coarse': 10}}, got {steps!r}")
    for stage, count in steps.items():
        if stage not in STAGES:
            raise backend.load("errors").AxonInputError(
                f"steps names the stage {stage!r}; the stages are {', '.join(STAGES)}."
            )
        wholeNumber(count, f"steps[{stage!r}]", 0)
    return {stage: count for stage, count in steps.items() if count} or None


def _node(node, kind, name, words):
    if not isinstance(node, kind):
        raise TypeError(f"{name} is {words}, got {node!r}")
    return node
