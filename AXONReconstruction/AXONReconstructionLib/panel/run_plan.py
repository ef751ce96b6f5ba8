"""Description of the next run, and reasons why it is not possible."""

from __future__ import annotations

from slicer.i18n import tr as _

from AXONReconstructionLib.panel.xray_form import refusal
from AXONReconstructionLib.setup import run_times


def stagesOf(node, method, recommended) -> tuple[str, ...]:
    """The stages to run: those that the model recommends, but as the user has chosen in a parameter
    node, and none that needs one which does not run. The first stage always runs.

    Args:
        method: `MethodInfo` of the model.
        recommended: names of the stages that the model recommends.
    """
    run: list[str] = []
    for stage in method.stages:
        skipped = stage.name in node.skippedStages or stage.name not in recommended
        chosen = not run or stage.name in node.addedStages or not skipped
        if chosen and stage.needs in (None, *run):
            run.append(stage.name)
    return tuple(run)


def stepsOf(node, method) -> dict[str, int]:
    """Numbers of steps that differ from the model default, by stage of the method."""
    taking = [stage.name for stage in method.stages if stage.takes_steps]
    return {stage: count for stage, count in node.steps.items() if count and stage in taking}


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
    return refusal(node.frontal) or refusal(node.lateral)


def planText(
    node, device: str, bundle: str, method, recommended, defaults: dict | None = None
) -> str:
    """Which views are used, how they are registered, after which stage the run stops if the model
    recommends that, and the expected duration.

    Args:
        device: ``cuda`` or ``cpu``.
        bundle: name of the model.
        method: `MethodInfo` of the model.
        recommended: names of the stages that it recommends.
        defaults: its steps by stage for the chosen number of samples, if known.
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
    stages = stagesOf(node, method, recommended)
    # The last run may have had other steps: those of several samples, or of one.
    steps = {**(defaults or {}), **stepsOf(node, method)}
    seconds = run_times.expected(device, bundle, stages, node.samples, steps)
    time = (
        _("Duration unknown until the first run.")
        if seconds is None
        else _("About {time}, based on the last run.").format(time=run_times.durationText(seconds))
    )
    sentences = [_("Uses {used}.").format(used=used), time]
    if stages == recommended != method.stage_names:
        stops = _("Stops after {stage}, as the model recommends.")
        sentences.insert(1, stops.format(stage=method.stage(stages[-1]).label))
    return " ".join(sentences)


def _place(node, role: str) -> str:
    if role in acceptedRoles(node):
        return _("placement accepted in step 2")
    if not node.registerAutomatically:
        return _("not registered")
    return (
        _("registered to the CT") if node.groundTruth is not None else _("registered to the atlas")
    )
