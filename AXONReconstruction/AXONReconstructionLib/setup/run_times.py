"""Durations of the stages in the last run, stored in the application settings."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

_PREPARE = "prepare"


def remember(record: dict) -> None:
    """Store the durations of a finished run by device, model and stage."""
    settings = slicer.app.userSettings()
    where = _where(record["device"], record["bundle"]["name"])
    samples = max(1, int(record.get("samples", 1)))
    for stage in record["stages"]:
        name, steps = stage["name"], max(1, int(stage["steps"]))
        run = max(1, int(stage["steps_run"]))
        settings.setValue(f"{where}/{name}", round(float(stage["seconds"]) / samples / run, 4))
        settings.setValue(f"{where}/{name}Steps", run)
        settings.setValue(f"{where}/{name}{_passesKey(steps)}", run / steps)
    seconds = record["seconds"]
    before = float(seconds.get("read", 0)) + float(seconds.get("register", 0))
    settings.setValue(f"{where}/{_PREPARE}", round(before, 2))


def expected(device: str, bundle: str, stages, samples: int, steps: dict | None = None):
    """Expected duration in seconds, based on the last run; None if there was none.

    Args:
        device: ``cuda`` or ``cpu``.
        bundle: name of the model.
        stages: names of the stages.
        steps: steps by stage, where they differ from the model default.
    """
    settings = slicer.app.userSettings()
    where = _where(device, bundle)
    total = _number(settings.value(f"{where}/{_PREPARE}"))
    for stage in stages:
        perStep = _number(settings.value(f"{where}/{stage}"))
        lastSteps = _number(settings.value(f"{where}/{stage}Steps"))
        if total is None or perStep is None or lastSteps is None:
            return None
        count = (steps or {}).get(stage)
        total += perStep * samples * (count * _passes(where, stage, count) if count else lastSteps)
    return total


def durationText(seconds: float) -> str:
    """A duration as text."""
    if seconds < 1.5:
        return _("1 second")
    if seconds < 100:
        return _("{n} seconds").format(n=round(seconds))
    minutes = round(seconds / 60)
    if minutes < 100:
        return _("{n} minutes").format(n=minutes)
    return _("{h} h {m} min").format(h=minutes // 60, m=minutes % 60)


def _passes(where: str, stage: str, steps: int) -> float:
    """Number of network passes per step: several for averaging over draws, or for test-time
    augmentation, which a method may use for a single step only. One if unknown."""
    stored = slicer.app.userSettings().value(f"{where}/{stage}{_passesKey(steps)}")
    return _number(stored) or 1


def _passesKey(steps: int) -> str:
    return "PassesOfOneStep" if steps == 1 else "PassesOfSeveralSteps"


def _where(device: str, bundle: str) -> str:
    return f"AXON/Seconds/{str(device).split(':')[0]}/{bundle}"


def _number(value):
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
