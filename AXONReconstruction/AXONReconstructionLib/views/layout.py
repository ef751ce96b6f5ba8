"""The Compare layout, its views and its cameras."""

from __future__ import annotations

import math

import slicer
import vtk
from slicer.i18n import tr as _

from AXONReconstructionLib.views import own_layouts

RECONSTRUCTION_VIEW = "AXONRecon"
TRUTH_VIEW = "AXONTruth"
SLICE_VIEWS = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}
TRUTH_SLICE_VIEWS = {"AXONRed": "Axial", "AXONGreen": "Coronal", "AXONYellow": "Sagittal"}

# Negative: see `own_layouts`.
LAYOUT_WITH_TRUTH = -5731
LAYOUT_ALONE = -5732
LAYOUT_SLICES = -5733
LAYOUTS = (LAYOUT_WITH_TRUTH, LAYOUT_ALONE, LAYOUT_SLICES)

# View links apply to all views of a group; the user's other views are not affected.
VIEW_GROUP = 7
VIEW_ANGLE_DEG = 30.0
MAX_ASPECT = 2.0  # height / width of a 3D view; larger while the view is not laid out yet

# Shown in the view controller bar; not translated, because they are part of the layout description.
_LABELS = {RECONSTRUCTION_VIEW: "A", TRUTH_VIEW: "B"}
_COLOURS = {"Axial": "#F34A33", "Coronal": "#6EB04B", "Sagittal": "#EDD54C"}


def _threeDItem(tag: str, label: str) -> str:
    return (
        f'<item><view class="vtkMRMLViewNode" singletontag="{tag}">'
        f'<property name="viewlabel" action="default">{label}</property>'
        f'<property name="viewgroup" action="default">{VIEW_GROUP}</property>'
        "</view></item>"
    )


def _sliceItem(tag: str, orientation: str, label: str) -> str:
    return (
        f'<item><view class="vtkMRMLSliceNode" singletontag="{tag}">'
        f'<property name="orientation" action="default">{orientation}</property>'
        f'<property name="viewlabel" action="default">{label}</property>'
        f'<property name="viewcolor" action="default">{_COLOURS[orientation]}</property>'
        "</view></item>"
    )


def _row(items: str) -> str:
    return f'<item splitSize="500"><layout type="horizontal" split="true">{items}</layout></item>'


def _layout(*rows: str) -> str:
    return f'<layout type="vertical" split="true">{"".join(map(_row, rows))}</layout>'


@own_layouts.addSource
def descriptions() -> dict[int, str]:
    """XML of the layouts by number."""
    slices = "".join(_sliceItem(tag, plane, tag[0]) for tag, plane in SLICE_VIEWS.items())
    truthSlices = "".join(
        _sliceItem(tag, plane, f"B {tag[4]}") for tag, plane in TRUTH_SLICE_VIEWS.items()
    )
    recon, truth = (_threeDItem(tag, label) for tag, label in _LABELS.items())
    return {
        LAYOUT_WITH_TRUTH: _layout(recon + truth, slices),
        LAYOUT_ALONE: _layout(recon, slices),
        LAYOUT_SLICES: _layout(slices, truthSlices),
    }


def showLayout(number: int) -> None:
    """Switch to one of :data:`LAYOUTS`. Without a main window, only the view nodes are created."""
    own_layouts.show(number)
    threeDViewNode(RECONSTRUCTION_VIEW)
    if number != LAYOUT_ALONE:
        threeDViewNode(TRUTH_VIEW)


def threeDViewNode(tag: str):
    """The 3D view node with a tag, created if the layout was not shown yet."""
    node = slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLViewNode")
    if node is None:
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLViewNode")
        node.UnRegister(None)  # CreateNodeByClass leaves one reference to its caller
        node.SetLayoutName(tag)
        node.SetName(f"View{tag}")
        node.SetViewGroup(VIEW_GROUP)
        node.SetLayoutLabel(_LABELS[tag])
        node = slicer.mrmlScene.AddNode(node)
    return node


def prepareThreeDViews(tags) -> None:
    """Black background, no bounding box, and an orientation marker."""
    for tag in tags:
        node = threeDViewNode(tag)
        wasModifying = node.StartModify()
        node.SetBackgroundColor(0, 0, 0)
        node.SetBackgroundColor2(0, 0, 0)
        node.SetBoxVisible(False)
        # Axis labels are placed around the bounding box of the whole scene, so that a large X-ray
        # would move them out of view.
        node.SetAxisLabelsVisible(False)
        node.SetOrientationMarkerType(node.OrientationMarkerTypeAxes)
        node.SetOrientationMarkerSize(node.OrientationMarkerSizeMedium)
        node.EndModify(wasModifying)


def titleView(tag: str, title: str) -> None:
    """Annotate a 3D view with its title and the research-use notice."""
    for view in _threeDViews((tag,)):
        annotation = view.cornerAnnotation()
        annotation.SetMaximumFontSize(16)
        annotation.SetText(vtk.vtkCornerAnnotation.UpperLeft, title)
        note = _("Research use only, not for diagnosis")
        annotation.SetText(vtk.vtkCornerAnnotation.LowerLeft, note)
        view.scheduleRender()


def linkCameras(linked: bool) -> None:
    """Link or unlink the cameras of both 3D views."""
    for tag in (RECONSTRUCTION_VIEW, TRUTH_VIEW):
        node = slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLViewNode")
        if node is not None:
            node.SetLinkedControl(bool(linked))


def setAnteriorView(bounds, tags=(RECONSTRUCTION_VIEW, TRUTH_VIEW)) -> None:
    """Set an anterior view, head up, in which a bounding box fills the view.

    Args:
        bounds: RAS millimetres, (R min, R max, A min, A max, S min, S max).
        tags: 3D views.
    """
    centre = [(bounds[2 * i] + bounds[2 * i + 1]) / 2 for i in range(3)]
    width, depth, height = (bounds[2 * i + 1] - bounds[2 * i] for i in range(3))
    # The near face must fit with a margin of 5 %. The view angle is vertical, so that a view which
    # is taller than wide needs a larger distance.
    sizes = [(view.width, view.height) for view in _threeDViews(tags)]
    aspect = max(
        [1.0, *(viewHeight / viewWidth for viewWidth, viewHeight in sizes if viewWidth > 0)]
    )
    half = 0.5 * max(width * min(aspect, MAX_ASPECT), height) * 1.05
    distance = half / math.tan(math.radians(VIEW_ANGLE_DEG / 2)) + depth / 2
    for tag in tags:
        camera = cameraNode(tag)
        if camera is None:
            continue
        wasModifying = camera.StartModify()
        camera.SetViewAngle(VIEW_ANGLE_DEG)
        camera.SetFocalPoint(*centre)
        camera.SetPosition(centre[0], centre[1] + distance, centre[2])
        camera.SetViewUp(0, 0, 1)
        camera.EndModify(wasModifying)
        camera.ResetClippingRange()


def cameraNode(tag: str):
    """The camera of a 3D view, or None if it has none."""
    view = slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLViewNode")
    if view is None:
        return None
    return slicer.modules.cameras.logic().GetViewActiveCameraNode(view)


def _threeDViews(tags) -> list:
    """The 3D view widgets with the given tags; empty without a main window."""
    manager = slicer.app.layoutManager()
    widgets = [manager.threeDWidget(i) for i in range(manager.threeDViewCount)] if manager else []
    return [w.threeDView() for w in widgets if w.mrmlViewNode().GetLayoutName() in tags]
