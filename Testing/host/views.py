"""Stand-ins for the view widgets; view nodes, slice logics, cameras and rendering are real."""

import slicer
import vtk

from . import records
from .rendered_view import DEFAULT_SIZE, RenderedView
from .standin import Told


class _ViewWidget(Told):
    def __init__(self, node, logic=None):
        self.node, self._logic, self._rendered = node, logic, None
        self._view = _View(self._h_view_class, self)
        self._controller = _Controller(self._h_controller_class, self)

    def size(self):
        """Host only: (width, height) in pixels."""
        return DEFAULT_SIZE if self._rendered is None else self._rendered.window.GetSize()

    def rendered(self):
        """Host only: the off-screen window of this view."""
        if self._rendered is None:
            self._rendered = RenderedView(self.node, self._logic, self._view.cornerAnnotation())
        return self._rendered

    def mrmlScene(self):
        return slicer.mrmlScene

    def mrmlAbstractViewNode(self):
        return self.node

    def viewWidget(self):
        return self._view

    def controllerWidget(self):
        return self._controller


class SliceWidget(_ViewWidget):
    _h_class = "qMRMLSliceWidget"
    _h_view_class, _h_controller_class = "qMRMLSliceView", "qMRMLSliceControllerWidget"

    def sliceLogic(self):
        return self._logic

    logic = sliceLogic

    def mrmlSliceNode(self):
        return self.node

    def mrmlSliceCompositeNode(self):
        return self._logic.GetSliceCompositeNode()

    def sliceView(self):
        return self._view

    def sliceController(self):
        return self._controller

    def fitSliceToBackground(self):
        self._logic.FitSliceToBackground()

    def setSliceOrientation(self, orientation):
        self.node.SetOrientation(orientation)

    @property
    def sliceOrientation(self):
        return self.node.GetOrientation()

    @property
    def sliceViewName(self):
        return self.node.GetLayoutName()


class ThreeDWidget(_ViewWidget):
    _h_class = "qMRMLThreeDWidget"
    _h_view_class, _h_controller_class = "qMRMLThreeDView", "qMRMLThreeDViewControllerWidget"

    def mrmlViewNode(self):
        return self.node

    def threeDView(self):
        return self._view

    def threeDController(self):
        return self._controller

    def camera(self):
        """Host only: the camera node of the view, created if needed."""
        node = slicer.modules.cameras.logic().GetViewActiveCameraNode(self.node)
        if node is None:
            node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLCameraNode")
            node.SetLayoutName(self.node.GetLayoutName())
        return node


class PlotWidget(_ViewWidget):
    """Chart and series nodes are real; nothing is rendered."""

    _h_class = "qMRMLPlotWidget"
    _h_view_class, _h_controller_class = "qMRMLPlotView", "qMRMLPlotViewControllerWidget"

    def mrmlPlotViewNode(self):
        return self.node

    def plotView(self):
        return self._view

    def rendered(self):
        raise records.lacking("drawing of plot views")


#: view node class -> widget
KINDS = {
    "vtkMRMLSliceNode": SliceWidget,
    "vtkMRMLViewNode": ThreeDWidget,
    "vtkMRMLPlotViewNode": PlotWidget,
}


class _View(Told):
    """sliceView(), threeDView(). Rendered only when a screenshot is requested."""

    def __init__(self, kind, owner):
        self._h_class, self._owner = kind, owner
        self._annotation = vtk.vtkCornerAnnotation()

    @property
    def width(self):
        return self._owner.size()[0]

    @property
    def height(self):
        return self._owner.size()[1]

    def renderWindow(self):
        return self._owner.rendered().window

    def interactor(self):
        return self._owner.rendered().interactor

    def forceRender(self):
        self._owner.rendered().render()

    def scheduleRender(self):
        pass

    requestRender = scheduleRender

    def mrmlSliceNode(self):
        return self._owner.node

    mrmlViewNode = mrmlSliceNode

    def cameraNode(self):
        return self._owner.camera()

    def cornerAnnotation(self):
        return self._annotation

    def resetFocalPoint(self):
        node, renderer = self._owner.node, self._owner.rendered().renderer
        box, labels = node.GetBoxVisible(), node.GetAxisLabelsVisible()
        node.SetBoxVisible(0)
        node.SetAxisLabelsVisible(0)
        bounds = [0.0] * 6
        renderer.ComputeVisiblePropBounds(bounds)
        if bounds[0] > bounds[1]:  # nothing to see
            bounds = [0.0] * 6
        camera = renderer.GetActiveCamera()
        camera.SetFocalPoint(*((bounds[2 * i] + bounds[2 * i + 1]) / 2 for i in range(3)))
        camera.OrthogonalizeViewUp()
        node.SetBoxVisible(box)
        node.SetAxisLabelsVisible(labels)
        node.InvokeEvent(node.ResetFocalPointRequestedEvent)
        renderer.ResetCameraClippingRange()

    def resetCamera(self, *_unused):
        self._owner.rendered().renderer.ResetCamera()

    def displayableManagerByClassName(self, name):
        return self._owner.rendered().group.GetDisplayableManagerByClassName(name)


class _Controller(Told):
    def __init__(self, kind, widget):
        self._h_class, self._widget = kind, widget

    def fitSliceToBackground(self):
        self._widget.fitSliceToBackground()

    def setSliceOffsetValue(self, offset):
        self._widget.sliceLogic().SetSliceOffset(offset)

    def setVisible(self, visible):
        pass
