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
        name, steps = stage["name"], max(1, int(stage["steps"]))
        run = max(1, int(stage["steps_run"]))
        settings.setValue(f"{where}/{name}", round(float(stage["seconds"]) / samples / run, 4))
        settings.setValue(f"{where}/{name}Steps", run)
        if name != "coarse" or steps == 1:
            settings.setValue(f"{where}/{name}Passes", run / steps)
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
        asked = (steps or {}).get(stage)
        total += per * samples * (asked * _passes(where, stage, asked) if asked else last)
    return total


def durationText(seconds: float) -> str:
    """A duration as one says it."""
    if seconds < 1.5:
        return _("1 second")
    if seconds < 100:
        return _("{n} seconds").format(n=round(seconds))
    return _("{n} minutes").format(n=round(seconds / 60))


def _passes(where: str, stage: str, steps: int) -> float:
    """How often each step is run: for several draws, or places of the X-rays, whose mean it is.
    More than one step of stage 1 takes the X-rays as they lie."""
    if stage == "coarse" and steps > 1:
        return 1
    return _number(slicer.app.userSettings().value(f"{where}/{stage}Passes")) or 1


def _where(device: str, bundle: str) -> str:
    return f"AXON/Seconds/{str(device).split(':')[0]}/{bundle}"


def _number(value):
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
