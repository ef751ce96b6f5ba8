"""How long the stages took last time, remembered in the application's settings."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

_PREPARE = "prepare"


def remember(record: dict) -> None:
    """Keep the seconds of a finished run, by device, model and stage."""
    settings = slicer.app.userSettings()
    where = _where(record["device"], record["bundle"]["name"])
    samples = max(1, int(record.get("samples", 1)))
    for stage in record["stages"]:
        per = float(stage["seconds"]) / samples / max(1, int(stage["steps"]))
        settings.setValue(f"{where}/{stage['name']}", round(per, 4))
        settings.setValue(f"{where}/{stage['name']}Steps", int(stage["steps"]))
    seconds = record["seconds"]
    before = float(seconds.get("read", 0)) + float(seconds.get("register", 0))
    settings.setValue(f"{where}/{_PREPARE}", round(before, 2))


def expected(device: str, bundle: str, stages, samples: int, steps: dict | None = None):
    """Seconds that a run will take by the last one, or None when there was none.

    Args:
        device: ``cuda`` or ``cpu``.
        bundle: name of the model.
        stages: names of the stages.
        steps: steps by stage where they are not the model's own.
    """
    settings = slicer.app.userSettings()
    where = _where(device, bundle)
    total = _number(settings.value(f"{where}/{_PREPARE}"))
    for stage in stages:
        per = _number(settings.value(f"{where}/{stage}"))
        last = _number(settings.value(f"{where}/{stage}Steps"))
        if total is None or per is None or last is None:
            return None
        total += per * samples * ((steps or {}).get(stage) or last)
    return total


def inWords(seconds: float) -> str:
    """A duration as one says it."""
    if seconds < 1.5:
        return _("1 second")
    if seconds < 100:
        return _("{n} seconds").format(n=round(seconds))
    return _("{n} minutes").format(n=round(seconds / 60))


def _where(device: str, bundle: str) -> str:
    return f"AXON/Seconds/{str(device).split(':')[0]}/{bundle}"


def _number(value):
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
