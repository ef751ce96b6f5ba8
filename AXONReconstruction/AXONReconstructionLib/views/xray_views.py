"""The slice views that show X-rays: coronal for frontal, sagittal for lateral X-rays."""

from __future__ import annotations

import slicer

from AXONReconstructionLib.views import own_layouts

VIEWS = {"frontal": "Green", "lateral": "Yellow"}
_ORIENTATIONS = {"Green": "Coronal", "Yellow": "Sagittal"}
_COLOURS = {"Green": "#6EB04B", "Yellow": "#EDD54C"}
_FRONTAL, _LATERAL, _BOTH = ("frontal",), ("lateral",), ("frontal", "lateral")
# By the roles that are shown, and whether with a plot. Negative: see `own_layouts`.
_LAYOUTS = {
    (_FRONTAL, False): -5741,
    (_LATERAL, False): -5742,
    (_BOTH, False): -5743,
    (_FRONTAL, True): -5751,
    (_LATERAL, True): -5752,
    (_BOTH, True): -5753,
}


@own_layouts.addSource
def descriptions() -> dict[int, str]:
    """XML of the layouts by number."""
    return {number: _layout(*shown) for shown, number in _LAYOUTS.items()}


def showRoles(roles, plot: bool = False) -> None:
    """Switch to a layout with the slice views of the given roles, optionally with a plot below."""
    roles = tuple(role for role in VIEWS if role in roles) or _FRONTAL
    own_layouts.show(_LAYOUTS[roles, plot])


def isShown(role: str) -> bool:
    """Whether the current layout contains the slice view of a role."""
    shown = own_layouts.shownLayout()
    return any(role in roles for (roles, _plot), number in _LAYOUTS.items() if number == shown)


def showLayers(role: str, background, foreground=None, opacity: float = 0.0) -> None:
    """Set the layers of a role's view; the view's position does not change."""
    composite = compositeNode(role)
    if composite is None:
        return
    with slicer.util.NodeModify(composite):
        composite.SetLinkedControl(False)
        composite.SetHotLinkedControl(False)
        # The DRR must remain visible outside the X-ray.
        composite.SetClipToBackgroundVolume(False)
        composite.SetBackgroundVolumeID(None if background is None else background.GetID())
        composite.SetForegroundVolumeID(None if foreground is None else foreground.GetID())
        composite.SetForegroundOpacity(opacity if foreground is not None else 0.0)
        composite.SetLabelVolumeID(None)


def setOpacity(role: str, opacity: float) -> None:
    """Set the foreground opacity of a role's view, 0 to 1."""
    composite = compositeNode(role)
    if composite is not None:
        composite.SetForegroundOpacity(opacity)


def fit(role: str, volume) -> None:
    """Reset a role's view to its orientation and fit it to a volume."""
    logic, node = _sliceLogic(role), sliceNode(role)
    if logic is None or node is None:
        return
    node.SetOrientation(_ORIENTATIONS[VIEWS[role]])
    width, height = node.GetDimensions()[:2]
    logic.FitSliceToVolume(volume, width, height)
    bounds = [0.0] * 6
    volume.GetRASBounds(bounds)
    node.JumpSliceByOffsetting(*[(bounds[2 * i] + bounds[2 * i + 1]) / 2 for i in range(3)])


def sliceNode(role: str):
    """The slice node of a role's view, or None."""
    return slicer.mrmlScene.GetSingletonNode(VIEWS[role], "vtkMRMLSliceNode")


def compositeNode(role: str):
    """The composite node of a role's view, or None."""
    return slicer.mrmlScene.GetSingletonNode(VIEWS[role], "vtkMRMLSliceCompositeNode")


def _sliceLogic(role: str):
    application = slicer.app.applicationLogic()
    node = sliceNode(role)
    return None if application is None or node is None else application.GetSliceLogic(node)


def _layout(roles, plot: bool) -> str:
    views = "".join(
        f'<item><view class="vtkMRMLSliceNode" singletontag="{tag}">'
        f'<property name="orientation" action="default">{_ORIENTATIONS[tag]}</property>'
        f'<property name="viewlabel" action="default">{tag[0]}</property>'
        f'<property name="viewcolor" action="default">{_COLOURS[tag]}</property></view></item>'
        for tag in (VIEWS[role] for role in roles)
    )
    row = f'<layout type="horizontal" split="true">{views}</layout>'
    if not plot:
        return row
    return (
        f'<layout type="vertical" split="true"><item splitSize="700">{row}</item>'
        '<item splitSize="300"><view class="vtkMRMLPlotViewNode" singletontag="PlotView1">'
        '<property name="viewlabel" action="default">P</property></view></item></layout>'
    )
