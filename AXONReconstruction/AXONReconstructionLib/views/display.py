"""Shows a result: 3D beside the true CT, and slices below."""

from __future__ import annotations

import json

from slicer.i18n import tr as _

from AXONReconstructionLib.scene.results import ReconstructionResult
from AXONReconstructionLib.views import layout, rendering, side_labels, slices

STAGES = ("coarse", "fine", "sr")


def stageName(stage: str) -> str:
    """What a stage is called in the panel."""
    return {"coarse": _("Coarse"), "fine": _("Fine"), "sr": _("High resolution")}[stage]


def resultOf(result) -> ReconstructionResult:
    """A `ReconstructionResult` of itself or of a parameter node."""
    if isinstance(result, ReconstructionResult):
        return result
    if not hasattr(result, "srVolume"):
        kind = type(result).__name__
        raise TypeError(f"a ReconstructionResult or a parameter node is needed, got {kind}")
    found = {stage: getattr(result, f"{stage}Volume") for stage in STAGES}
    return ReconstructionResult(
        volumes={stage: node for stage, node in found.items() if node is not None},
        deviation=result.deviationVolume,
        truth=result.truthVolume,
        difference=result.differenceVolume,
        metricsTable=result.metricsTable,
        record=json.loads(result.record) if result.record else {},
    )


def showComparison(result, stage=None, preset: str = "lung", linkCameras: bool = True) -> None:
    """Switch to the Compare layout and show a result from the patient's front.

    Args:
        result: `ReconstructionResult` or parameter node.
        stage: ``coarse``, ``fine`` or ``sr``; None, or one that did not run, takes the last.
        preset: ``bone``, ``lung``, ``soft`` or ``xray``; the same for both volumes.
        linkCameras: turning one 3D view turns the other.
    """
    result = resultOf(result)
    volume = volumeOf(result, stage)
    if volume is None:
        return
    layout.showLayout(layout.LAYOUT_WITH_TRUTH if result.truth else layout.LAYOUT_ALONE)
    layout.prepareThreeDViews(_views(result))
    showVolumes(result, stage, preset)
    layout.linkCameras(linkCameras)
    layout.lookFromFront(rendering.boundsOf(volume), _views(result))
    showSlices(result, stage)
    slices.lookThrough(volume)
    _letter(layout.SLICE_VIEWS)


def showVolumes(result, stage=None, preset: str = "lung") -> None:
    """Show one stage and the true CT in the 3D views that are there."""
    result = resultOf(result)
    volume = volumeOf(result, stage)
    if volume is None:
        return
    for other in result.volumes.values():
        if other is not volume:
            rendering.hide(other)
    reconstruction = layout.threeDViewNode(layout.RECONSTRUCTION_VIEW)
    rendering.renderInView(volume, reconstruction, preset)
    shown = next(name for name, node in result.volumes.items() if node is volume)
    layout.titleView(
        layout.RECONSTRUCTION_VIEW,
        _("Reconstruction: {stage}").format(stage=stageName(shown).lower()),
    )
    if result.truth is not None:
        layout.titleView(layout.TRUTH_VIEW, _("Real CT"))
        rendering.renderInView(result.truth, layout.threeDViewNode(layout.TRUTH_VIEW), preset)


def showSlices(result, stage=None, what: str = "reconstruction", opacity: float = 0.0) -> None:
    """Choose what the slice views show.

    Args:
        what: ``reconstruction``, ``difference`` or ``deviation``; what this result does not have
            shows the reconstruction. X-ray checks are shown by `showCheck`.
        opacity: of the true CT over the reconstruction, 0 to 1.
    """
    result = resultOf(result)
    volume = volumeOf(result, stage)
    if volume is None:
        return
    if what == "difference" and result.difference is not None:
        slices.differenceColours(result.difference)
        slices.showLayers(result.difference)
    elif what == "deviation" and result.deviation is not None:
        slices.deviationColours(result.deviation)
        slices.showLayers(result.deviation)
    else:
        for node in (volume, result.truth):
            if node is not None:
                slices.greyWindow(node)
        slices.showLayers(volume, result.truth, opacity)
    if result.truth is not None:
        slices.greyWindow(result.truth)
        slices.showLayers(result.truth, tags=layout.TRUTH_SLICE_VIEWS)


def showCheck(checks: dict, volume, opacity: float) -> None:
    """Show X-ray checks: frontal in the coronal view, lateral in the sagittal one.

    Args:
        checks: `reprojection.Check` by role.
        volume: node of the reconstruction, for the views without an X-ray.
        opacity: of the result's radiograph over the X-ray, 0 to 1.
    """
    slices.greyWindow(volume)
    tags = {"Green": checks.get("frontal"), "Yellow": checks.get("lateral")}
    for tag in layout.SLICE_VIEWS:
        pair = tags.get(tag)
        if pair is None:
            slices.showLayers(volume, tags=(tag,))
        else:
            slices.showLayers(pair.xray, pair.drr, opacity, tags=(tag,))
            slices.lookThrough(pair.xray, (tag,))


def showSlicesSideBySide(result, stage=None, what: str = "reconstruction") -> None:
    """Six slice views: the result above, the true CT below."""
    result = resultOf(result)
    volume = volumeOf(result, stage)
    if volume is None or result.truth is None:
        return
    layout.showLayout(layout.LAYOUT_SLICES)
    showSlices(result, stage, what)
    slices.lookThrough(volume, layout.SLICE_VIEWS)
    slices.lookThrough(volume, layout.TRUTH_SLICE_VIEWS)
    _letter((*layout.SLICE_VIEWS, *layout.TRUTH_SLICE_VIEWS))


def volumeOf(result: ReconstructionResult, stage=None):
    """The node of a stage; of the last one when that stage did not run; None without any."""
    return result.volumes.get(stage, result.volume)


def lookFromFront(result, stage=None) -> None:
    """Turn the 3D views back to the patient's front."""
    result = resultOf(result)
    volume = volumeOf(result, stage)
    if volume is not None:
        layout.lookFromFront(rendering.boundsOf(volume), _views(result))


def _letter(tags) -> None:
    for tag in tags:
        side_labels.shared().show(tag)


def _views(result: ReconstructionResult) -> tuple[str, ...]:
    both = (layout.RECONSTRUCTION_VIEW, layout.TRUTH_VIEW)
    return both if result.truth is not None else both[:1]
