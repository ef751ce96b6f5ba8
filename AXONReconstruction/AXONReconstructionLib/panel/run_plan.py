"""What the Reconstruct button will do, in parts, and why it cannot."""

from __future__ import annotations

from slicer.i18n import tr as _

from AXONReconstructionLib.setup import run_times


def stagesOf(node) -> tuple[str, ...]:
    """The stages that a parameter node asks for."""
    return ("coarse", *(["fine"] if node.runFine else []), *(["sr"] if node.runSR else []))


def stepsOf(node) -> dict[str, int]:
    """The numbers of steps that are not the model's own."""
    steps = {"coarse": node.coarseSteps, "fine": node.fineSteps}
    return {stage: count for stage, count in steps.items() if count}


def acceptedRoles(node) -> tuple[str, ...]:
    """The X-rays whose place the user has accepted."""
    return tuple(
        role
        for role in ("frontal", "lateral")
        if getattr(node, role) is not None and getattr(node, f"{role}Accepted")
    )


def blockingReason(node) -> str:
    """Why nothing can be computed from these inputs; empty when it can."""
    if node is None:
        return _("The scene is being closed.")
    if node.frontal is None and node.lateral is not None and node.groundTruth is None:
        return _("A lateral X-ray alone is not enough. Choose a frontal X-ray in step 1.")
    if node.frontal is None and node.groundTruth is None:
        return _("Choose a frontal X-ray in step 1.")
    return ""


def planText(node, device: str, bundle: str) -> str:
    """Which views are used, how they are placed, and how long it will take.

    Args:
        device: ``cuda`` or ``cpu``, where it will run.
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
            parts.insert(0, _("a frontal X-ray computed from the CT"))
        used = _(" and ").join(parts)
    seconds = run_times.expected(device, bundle, stagesOf(node), node.samples, stepsOf(node))
    time = (
        _("The first run shows how long it takes here.")
        if seconds is None
        else _("About {time}, by the last run.").format(time=run_times.durationText(seconds))
    )
    return _("Uses {used}. {time}").format(used=used, time=time)


def _place(node, role: str) -> str:
    if role in acceptedRoles(node):
        return _("placed as accepted in step 2")
    if not node.registerAutomatically:
        return _("not aligned")
    return (
        _("aligned to the CT") if node.groundTruth is not None else _("aligned to an average chest")
    )
