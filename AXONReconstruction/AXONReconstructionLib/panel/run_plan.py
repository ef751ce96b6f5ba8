"""Description of the next run, and reasons why it is not possible."""

from __future__ import annotations

from slicer.i18n import tr as _

from AXONReconstructionLib.setup import run_times


def stagesOf(node) -> tuple[str, ...]:
    """The stages enabled in a parameter node."""
    return ("coarse", *(["fine"] if node.runFine else []), *(["sr"] if node.runSR else []))


def stepsOf(node) -> dict[str, int]:
    """Numbers of steps that differ from the model default."""
    steps = {"coarse": node.coarseSteps, "fine": node.fineSteps}
    return {stage: count for stage, count in steps.items() if count}


def acceptedRoles(node) -> tuple[str, ...]:
    """Roles of the X-rays whose placement was accepted."""
    return tuple(
        role
        for role in ("frontal", "lateral")
        if getattr(node, role) is not None and getattr(node, f"{role}Accepted")
    )


def blockingReason(node) -> str:
    """Why a run is not possible with these inputs; empty if it is."""
    if node is None:
        return _("The scene is closing.")
    if node.frontal is None and node.lateral is not None and node.groundTruth is None:
        return _("A lateral X-ray alone is not sufficient. Select a frontal X-ray in step 1.")
    if node.frontal is None and node.groundTruth is None:
        return _("Select a frontal X-ray in step 1.")
    return ""


def planText(node, device: str, bundle: str) -> str:
    """Which views are used, how they are registered, and the expected duration.

    Args:
        device: ``cuda`` or ``cpu``.
        bundle: name of the model.
    """
    if blockingReason(node):
        return blockingReason(node)
    places = {role: _place(node, role) for role in ("frontal", "lateral")}
    names = {"frontal": _("the frontal X-ray"), "lateral": _("the lateral X-ray")}
    given = [role for role in names if getattr(node, role) is not None]
    if len(given) == 2 and places["frontal"] == places["lateral"]:
        used = _("both X-rays ({place})").format(place=places["frontal"])
    else:
        parts = [_("{name} ({place})").format(name=names[r], place=places[r]) for r in given]
        if node.frontal is None:
            parts.insert(0, _("a frontal DRR of the CT"))
        used = _(" and ").join(parts)
    seconds = run_times.expected(device, bundle, stagesOf(node), node.samples, stepsOf(node))
    time = (
        _("Duration unknown until the first run.")
        if seconds is None
        else _("About {time}, based on the last run.").format(time=run_times.durationText(seconds))
    )
    return _("Uses {used}. {time}").format(used=used, time=time)


def _place(node, role: str) -> str:
    if role in acceptedRoles(node):
        return _("placement accepted in step 2")
    if not node.registerAutomatically:
        return _("not registered")
    return (
        _("registered to the CT") if node.groundTruth is not None else _("registered to the atlas")
    )
