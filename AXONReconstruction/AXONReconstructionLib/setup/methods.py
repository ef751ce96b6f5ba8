"""Reconstruction methods, asked of the backend's registry: names, stages, trainings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from AXONReconstructionLib.setup import backend

if TYPE_CHECKING:
    from axon_backend.methods.info import MethodInfo


def available() -> dict[str, MethodInfo]:
    """All installed methods by name; empty if `axon_backend` is not available."""
    try:
        return backend.loadLight("methods.registry").available()
    except ImportError:
        return {}


def find(name: str) -> tuple[MethodInfo | None, str]:
    """An installed method, or None and a sentence that says why there is none; an empty name is
    the default method, as in models that do not name theirs."""
    try:
        registry = backend.loadLight("methods.registry")
        return registry.info(name or registry.DEFAULT), ""
    except Exception as error:  # AxonInputError, or ImportError without the package
        return None, str(error)


def ofRecord(record: dict) -> MethodInfo | None:
    """The method that made a result; None if it is not installed."""
    try:
        registry = backend.loadLight("methods.registry")
    except ImportError:
        return None
    return find(registry.method_name(record))[0]


def stageLabel(record: dict, stage: str) -> str:
    """Display name of a stage of a result; its own name if the method is not installed."""
    method = ofRecord(record)
    if method is None or stage not in method.stage_names:
        return stage
    return method.stage(stage).label
