"""Shows a result: 3D side by side with the CT or another result, and slices below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from slicer.i18n import tr as _

from AXONReconstructionLib.scene.results import ReconstructionResult, resultOf
from AXONReconstructionLib.setup.methods import stageLabel
from AXONReconstructionLib.views import layout, rendering, side_labels, slices


@dataclass(frozen=True)
class Side:
    """A volume beside the result, with its title."""

    volume: Any
    title: str


def showComparison(
    result, stage=None, preset: str = "lung", other: Side | None = None, title: str = ""
) -> None:
    """Switch to the Compare layout and show an anterior view of a result.

    Args:
        result: `ReconstructionResult` or parameter node.
        stage: name of a stage; None, or one that did not run, is the recommended one.
        preset: ``bone``, ``lung``, ``soft`` or ``xray``; used for both volumes.
        other: what to show beside it; None is the CT, if the result has one.
        title: of the result.
    """
    result = resultOf(result)
    volume, other = volumeOf(result, stage), besides(result, other)
    if volume is None:
        return
    layout.showLayout(layout.LAYOUT_ALONE if other is None else layout.LAYOUT_WITH_TRUTH)
    layout.prepareThreeDViews(_views(other))
    showVolumes(result, stage, preset, other, title)
    layout.linkCameras(True)
    layout.setAnteriorView(rendering.boundsOf(volume), _views(other))
    showSlices(result, stage, other=other)
    slices.fitViews(volume)
    _showSideLabels(layout.SLICE_VIEWS)


def showVolumes(
    result, stage=None, preset: str = "lung", other: Side | None = None, title: str = ""
) -> None:
    """Show one stage and what is beside it in the existing 3D views; see `showComparison`."""
    result = resultOf(result)
    volume, other = volumeOf(result, stage), besides(result, other)
    if volume is None:
        return
    views = {tag: layout.threeDViewNode(tag) for tag in _views(other)}
    rendering.hideOthers([volume, *([] if other is None else [other.volume])], views.values())
    rendering.renderInView(volume, views[layout.RECONSTRUCTION_VIEW], preset)
    shown = next(name for name, node in result.volumes.items() if node is volume)
    layout.titleView(
        layout.RECONSTRUCTION_VIEW, titleOf(title or _("Reconstruction"), result.record, shown)
    )
    if other is not None:
        layout.titleView(layout.TRUTH_VIEW, other.title)
        rendering.renderInView(other.volume, views[layout.TRUTH_VIEW], preset)


def titleOf(run: str, record: dict, stage: str) -> str:
    """Title of a stage of a run."""
    return _("{run}: {stage}").format(run=run, stage=stageLabel(record, stage))


def showSlices(
    result,
    stage=None,
    content: str = "reconstruction",
    opacity: float = 0.0,
    other: Side | None = None,
    shown: Any = None,
) -> None:
    """Set the content of the slice views.

    Args:
        content: ``reconstruction``, ``difference``, ``deviation`` (standard deviation) or
            ``sample``; the reconstruction is shown without the node of the others. See `showCheck`
            for X-ray checks.
        opacity: of what is beside the reconstruction or the sample, 0 to 1.
        other: what is beside it; None is the CT, if the result has one.
        shown: node of the difference, the standard deviation or the sample.
    """
    result = resultOf(result)
    volume, other = volumeOf(result, stage), besides(result, other)
    if volume is None:
        return
    if content == "difference" and shown is not None:
        slices.differenceColours(shown)
        slices.showLayers(shown)
    elif content == "deviation" and shown is not None:
        slices.standardDeviationColours(shown)
        slices.showLayers(shown)
    else:
        under = shown if content == "sample" and shown is not None else volume
        over = None if other is None else other.volume
        for node in (under, over):
            if node is not None:
                slices.setCTWindow(node)
        slices.showLayers(under, over, opacity)
    if other is not None:
        slices.setCTWindow(other.volume)
        slices.showLayers(other.volume, tags=layout.TRUTH_SLICE_VIEWS)


def showCheck(checks: dict, volume, opacity: float) -> None:
    """Show X-ray checks: frontal in the coronal view, lateral in the sagittal view.

    Args:
        checks: `reprojection.Check` by role.
        volume: node of the reconstruction, shown in views without an X-ray.
        opacity: of the DRR of the result over the X-ray, 0 to 1.
    """
    slices.setCTWindow(volume)
    tags = {"Green": checks.get("frontal"), "Yellow": checks.get("lateral")}
    for tag in layout.SLICE_VIEWS:
        pair = tags.get(tag)
        if pair is None:
            slices.showLayers(volume, tags=(tag,))
        else:
            slices.showLayers(pair.xray, pair.drr, opacity, tags=(tag,))
            slices.fitViews(pair.xray, (tag,))


def showSlicesSideBySide(result, stage=None, other: Side | None = None) -> None:
    """Six slice views: the result above, what is beside it below."""
    result = resultOf(result)
    volume = volumeOf(result, stage)
    if volume is None or besides(result, other) is None:
        return
    layout.showLayout(layout.LAYOUT_SLICES)
    showSlices(result, stage, other=other)
    slices.fitViews(volume, layout.SLICE_VIEWS)
    slices.fitViews(volume, layout.TRUTH_SLICE_VIEWS)
    _showSideLabels((*layout.SLICE_VIEWS, *layout.TRUTH_SLICE_VIEWS))


def volumeOf(result: ReconstructionResult, stage=None):
    """The node of a stage, or of the recommended one if that stage did not run; None without
    volumes."""
    return result.volumes.get(stage) or result.volumes.get(result.recommendedStage)


def besides(result: ReconstructionResult, other: Side | None = None) -> Side | None:
    """What is beside a result: `other`, else its CT; None without both."""
    if other is None and result.truth is not None:
        return Side(result.truth, _("CT"))
    return other


def _showSideLabels(tags) -> None:
    for tag in tags:
        side_labels.shared().show(tag)


def _views(other: Side | None) -> tuple[str, ...]:
    both = (layout.RECONSTRUCTION_VIEW, layout.TRUTH_VIEW)
    return both if other is not None else both[:1]
