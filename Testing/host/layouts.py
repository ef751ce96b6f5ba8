"""Stand-in for the layout manager, with the real layout logic, view nodes and slice logics."""

import slicer
import vtk
from PySide6 import QtCore, QtWidgets

from .standin import computed, prop, standin
from .views import KINDS, PlotWidget, SliceWidget, ThreeDWidget


@standin("layoutChanged(int)", "activeMRMLThreeDViewNodeChanged(vtkMRMLViewNode*)")
class qSlicerLayoutManager(QtCore.QObject):
    layoutChanged = QtCore.Signal(int)
    activeMRMLThreeDViewNodeChanged = QtCore.Signal(object)

    def __init__(self, scene, app_logic, parent=None):
        QtCore.QObject.__init__(self, parent)
        self.__dict__.update(
            _h_scene=scene,
            _h_app=app_logic,
            _h_widgets={},
            _h_slice_logics=vtk.vtkCollection(),
            _h_view_logics=vtk.vtkCollection(),
            _h_viewport=QtWidgets.QWidget(),
            _h_logic=slicer.vtkMRMLLayoutLogic(),
        )
        app_logic.SetSliceLogics(self._h_slice_logics)
        app_logic.SetViewLogics(self._h_view_logics)
        self._h_logic.SetMRMLScene(scene)
        node = self._h_logic.GetLayoutNode()
        if node.GetViewArrangement() == node.SlicerLayoutInitialView:
            node.SetViewArrangement(node.SlicerLayoutFourUpView)
        node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda c, e: self._h_changed())
        self.__dict__["_h_layout"] = node.GetViewArrangement()
        self._h_update()

    def _h_changed(self):
        now = self._h_logic.GetLayoutNode().GetViewArrangement()
        self._h_update()
        if now != self._h_layout:
            self._h_layout = now
            self.layoutChanged.emit(now)

    def _h_update(self):
        """Create widgets for new view nodes; closing the scene removes all but the singletons."""
        scene, widgets = self._h_scene, self._h_widgets
        for node_id in [key for key in widgets if scene.GetNodeByID(key) is None]:
            gone = widgets.pop(node_id)
            if isinstance(gone, SliceWidget):
                self._h_slice_logics.RemoveItem(gone.sliceLogic())
        for kind, cls in KINDS.items():
            for i in range(scene.GetNumberOfNodesByClass(kind)):
                node = scene.GetNthNodeByClass(i, kind)
                known = widgets.get(node.GetID())
                if known is None or known.node is not node:
                    widgets[node.GetID()] = cls(node, self._h_new_logic(cls, node))
                if cls is ThreeDWidget:
                    widgets[node.GetID()].camera()
        shown = self._h_logic.GetViewNodes()
        for widget in widgets.values():
            widget.node.SetMappedInLayout(bool(shown.IsItemPresent(widget.node)))

    def _h_new_logic(self, cls, node):
        if cls is not SliceWidget:
            return None
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLApplicationLogic(self._h_app)
        logic.SetMRMLScene(self._h_scene)
        logic.SetSliceNode(node)
        logic.ResizeSliceNode(400, 400)
        self._h_slice_logics.AddItem(logic)
        return logic

    def _h_of(self, cls):
        self._h_update()
        return [w for w in self._h_widgets.values() if isinstance(w, cls)]

    layout = computed(int, lambda self: self._h_logic.GetLayoutNode().GetViewArrangement(),
                      lambda self, v: self.setLayout(v))  # fmt: skip
    threeDViewCount = computed(int, lambda self: len(self._h_of(ThreeDWidget)))
    plotViewCount = computed(int, lambda self: len(self._h_of(PlotWidget)))
    enabled = prop(bool, "enabled", True)

    def setLayout(self, number):
        self._h_logic.GetLayoutNode().SetViewArrangement(int(number))
        self._h_update()

    def layoutLogic(self):
        return self._h_logic

    def mrmlScene(self):
        return self._h_scene

    def mrmlSliceLogics(self):
        self._h_update()
        return self._h_slice_logics

    def sliceViewNames(self):
        return tuple(w.node.GetLayoutName() for w in self._h_of(SliceWidget))

    def sliceWidget(self, name):
        found = self._h_of(SliceWidget)
        return next((w for w in found if w.node.GetLayoutName() == name), None)

    def _h_nth(self, cls, which):
        found = self._h_of(cls)
        if isinstance(which, str):
            return next((w for w in found if w.node.GetLayoutName() == which), None)
        return found[which] if 0 <= which < len(found) else None

    def threeDWidget(self, which):
        return self._h_nth(ThreeDWidget, which)

    def plotWidget(self, which):
        return self._h_nth(PlotWidget, which)

    def viewWidget(self, node):
        self._h_update()
        return self._h_widgets.get(node.GetID())

    def activeMRMLThreeDViewNode(self):
        found = self._h_of(ThreeDWidget)
        return found[0].node if found else None

    def viewport(self):
        return self._h_viewport

    def resetThreeDViews(self):
        for widget in self._h_of(ThreeDWidget):
            widget.threeDView().resetFocalPoint()
            widget.threeDView().resetCamera()

    def resetSliceViews(self):
        for widget in self._h_of(SliceWidget):
            widget.fitSliceToBackground()

    def pauseRender(self):
        pass

    resumeRender = pauseRender

    def setRenderPaused(self, paused):
        pass
