"""Shows a result: 3D side by side with the ground truth, and slices below."""

from __future__ import annotations

from slicer.i18n import tr as _

from AXONReconstructionLib.scene.results import ReconstructionResult, resultOf
from AXONReconstructionLib.setup.methods import stageLabel
from AXONReconstructionLib.views import layout, rendering, side_labels, slices


def showComparison(result, stage=None, preset: str = "lung", linkCameras: bool = True) -> None:
    """Switch to the Compare layout and show an anterior view of a result.

    Args:
        result: `ReconstructionResult` or parameter node.
        stage: name of a stage; the last one if None or if it did not run.
        preset: ``bone``, ``lung``, ``soft`` or ``xray``; used for both volumes.
        linkCameras: rotate both 3D views together.
    """
    result = resultOf(result)
    volume = volumeOf(result, stage)
    if volume is None:
        return
    layout.showLayout(layout.LAYOUT_WITH_TRUTH if result.truth else layout.LAYOUT_ALONE)
    layout.prepareThreeDViews(_views(result))
    showVolumes(result, stage, preset)
    layout.linkCameras(linkCameras)
    layout.setAnteriorView(rendering.boundsOf(volume), _views(result))
    showSlices(result, stage)
    slices.fitViews(volume)
    _showSideLabels(layout.SLICE_VIEWS)


def showVolumes(result, stage=None, preset: str = "lung") -> None:
    """Show one stage and the ground truth in the existing 3D views."""
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
        _("Reconstruction: {stage}").format(stage=stageLabel(result.record, shown)),
    )
    if result.truth is not None:
        layout.titleView(layout.TRUTH_VIEW, _("Ground truth CT"))
        rendering.renderInView(result.truth, layout.threeDViewNode(layout.TRUTH_VIEW), preset)


def showSlices(result, stage=None, content: str = "reconstruction", opacity: float = 0.0) -> None:
    """Set the content of the slice views.

    Args:
        content: ``reconstruction``, ``difference`` or ``deviation`` (standard deviation); the
            reconstruction is shown if the result lacks it. See `showCheck` for X-ray checks.
        opacity: of the ground truth over the reconstruction, 0 to 1.
    """
    result = resultOf(result)
    volume = volumeOf(result, stage)
    if volume is None:
        return
    if content == "difference" and result.difference is not None:
        slices.differenceColours(result.difference)
        slices.showLayers(result.difference)
    elif content == "deviation" and result.deviation is not None:
        slices.standardDeviationColours(result.deviation)
        slices.showLayers(result.deviation)
    else:
        for node in (volume, result.truth):
            if node is not None:
                slices.setCTWindow(node)
        slices.showLayers(volume, result.truth, opacity)
    if result.truth is not None:
        slices.setCTWindow(result.truth)
        slices.showLayers(result.truth, tags=layout.TRUTH_SLICE_VIEWS)


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


def showSlicesSideBySide(result, stage=None, content: str = "reconstruction") -> None:
    """Six slice views: the result above, the ground truth below."""
    result = resultOf(result)
    volume = volumeOf(result, stage)
    if volume is None or result.truth is None:
        return
    layout.showLayout(layout.LAYOUT_SLICES)
    showSlices(result, stage, content)
    slices.fitViews(volume, layout.SLICE_VIEWS)
    slices.fitViews(volume, layout.TRUTH_SLICE_VIEWS)
    _showSideLabels((*layout.SLICE_VIEWS, *layout.TRUTH_SLICE_VIEWS))


def volumeOf(result: ReconstructionResult, stage=None):
    """The node of a stage, or of the last one if that stage did not run; None without volumes."""
    return result.volumes.get(stage, result.volume)


def setAnteriorView(result, stage=None) -> None:
    """Reset the 3D views to anterior."""
    result = resultOf(result)
    volume = volumeOf(result, stage)
    if volume is not None:
        layout.setAnteriorView(rendering.boundsOf(volume), _views(result))


def _showSideLabels(tags) -> None:
    for tag in tags:
        side_labels.shared().show(tag)


def _views(result: ReconstructionResult) -> tuple[str, ...]:
    both = (layout.RECONSTRUCTION_VIEW, layout.TRUTH_VIEW)
    return both if result.truth is not None else both[:1]
