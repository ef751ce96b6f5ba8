"""Stand-in for qMRMLNodeComboBox, the node selector, with the real scene."""

import weakref

import shiboken6
import slicer
import vtk
from PySide6 import QtCore, QtWidgets

from . import records
from .mrml_widgets import SceneAware
from .standin import computed, prop, standin


def _refilling(name, default, kind=bool):
    return prop(kind, name, default, after=lambda self, v: self._h_refill())


@standin(
    "currentNodeChanged(vtkMRMLNode*)",
    "currentNodeChanged(bool)",
    "currentNodeIDChanged(QString)",
    "currentNodeRenamed(QString)",
    "nodeActivated(vtkMRMLNode*)",
    "nodeAdded(vtkMRMLNode*)",
    "nodeAddedByUser(vtkMRMLNode*)",
    "nodeAboutToBeRemoved(vtkMRMLNode*)",
    setters=("nodeTypes", "noneEnabled", "addEnabled", "removeEnabled", "renameEnabled",
             "editEnabled", "baseName", "noneDisplay", "showHidden", "showChildNodeTypes"),
)  # fmt: skip
class qMRMLNodeComboBox(SceneAware, QtWidgets.QWidget):
    currentNodeChanged = QtCore.Signal(object)
    currentNodeIDChanged = QtCore.Signal(str)
    currentNodeRenamed = QtCore.Signal(str)
    nodeActivated = QtCore.Signal(object)
    nodeAdded = QtCore.Signal(object)
    nodeAddedByUser = QtCore.Signal(object)
    nodeAboutToBeRemoved = QtCore.Signal(object)
    _h_adapt = {"currentNodeChanged(bool)": lambda node: (node is not None,)}

    def __init__(self, parent=None):
        QtWidgets.QWidget.__init__(self, parent)
        self.__dict__.update(
            _h_id="", _h_ids=[], _h_filling=False, _h_renaming=None, _h_requested="",
            _h_tags=[], _h_scene=None, _h_attributes={},
        )  # fmt: skip
        self.__dict__["_h_combo"] = combo = QtWidgets.QComboBox(self)
        QtWidgets.QHBoxLayout(self).setContentsMargins(0, 0, 0, 0)
        self.layout().addWidget(combo)
        combo.currentIndexChanged.connect(self._h_picked)
        combo.activated.connect(lambda index: self.nodeActivated.emit(self.currentNode()))

    nodeTypes = _refilling("nodeTypes", None, "QStringList")
    hideChildNodeTypes = _refilling("hideChildNodeTypes", None, "QStringList")
    showHidden = _refilling("showHidden", False)
    showChildNodeTypes = _refilling("showChildNodeTypes", True)
    noneEnabled = _refilling("noneEnabled", False)
    noneDisplay = _refilling("noneDisplay", "None", str)
    baseName = prop(str, "baseName", "")
    addEnabled = prop(bool, "addEnabled", True)
    removeEnabled = prop(bool, "removeEnabled", True)
    editEnabled = prop(bool, "editEnabled", False)
    renameEnabled = prop(bool, "renameEnabled", False)
    interactionNodeSingletonTag = prop(str, "interactionNodeSingletonTag", "")
    selectNodeUponCreation = prop(bool, "selectNodeUponCreation", True)
    sizeAdjustPolicy = prop(int, "sizeAdjustPolicy", 0)
    currentNodeID = computed(str, lambda self: self._h_id, lambda self, v: self._h_select(v or ""))

    def _h_scene_set(self, scene):
        for observed, tag in self._h_tags:
            observed.RemoveObserver(tag)
        self._h_tags.clear()
        if scene is not None:
            self._h_observe(scene)
        self._h_refill()
        requested, self._h_requested = self._h_requested, ""
        if scene is not None and requested:
            self._h_select(requested)
        self.setEnabled(scene is not None)

    def _h_observe(self, scene):
        me = weakref.ref(self)

        def alive(method, *arguments):
            it = me()
            if it is not None and shiboken6.isValid(it):
                try:
                    getattr(it, method)(*arguments)
                except Exception:
                    records.slot_error(f"{type(it).__name__}.{method}")

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def added(caller, event, node):
            alive("_h_node_added", node)

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def removed(caller, event, node):
            alive("_h_node_removed", node)

        def refill(caller, event):
            alive("_h_refill")

        events = slicer.vtkMRMLScene
        for event, function in (
            (events.NodeAddedEvent, added),
            (events.NodeRemovedEvent, removed),
            (events.EndCloseEvent, refill),
            (events.EndBatchProcessEvent, refill),
            (events.EndImportEvent, refill),
        ):
            self._h_tags.append((scene, scene.AddObserver(event, function)))

    def _h_accepts(self, node):
        if node is None or (node.GetHideFromEditors() and not self.showHidden):
            return False
        for kind in self.nodeTypes:
            exact = node.GetClassName() == kind
            derived = self.showChildNodeTypes and node.IsA(kind)
            if not exact and (not derived or any(node.IsA(k) for k in self.hideChildNodeTypes)):
                continue
            rules = self._h_attributes.get(kind, {}).items()
            if all(
                node.GetAttribute(n) is not None and (not v or node.GetAttribute(n) == str(v))
                for n, v in rules
            ):
                return True
        return False

    def _h_nodes(self):
        scene = self.mrmlScene()
        count = scene.GetNumberOfNodes() if scene is not None else 0
        return [n for n in (scene.GetNthNode(i) for i in range(count)) if self._h_accepts(n)]

    def _h_refill(self):
        nodes = self._h_nodes()
        before, self._h_ids = self._h_ids, []
        self._h_filling = True
        self._h_combo.clear()
        if self.noneEnabled:
            self._h_combo.addItem(self.noneDisplay)
            self._h_ids.append("")
        for node in nodes:
            self._h_combo.addItem(node.GetName() or "")
            self._h_ids.append(node.GetID())
        kind = self.nodeTypes[0] if self.nodeTypes else "Node"
        kind = kind.removeprefix("vtkMRML").removesuffix("Node")
        self._h_combo.setPlaceholderText(f"Select a {kind}")
        self._h_combo.setCurrentIndex(self._h_row(self._h_id))
        self._h_filling = False
        if self._h_id and self._h_id not in self._h_ids:
            # the current node has gone: the real selector takes the one that moved into its row,
            # or the last one
            row = before.index(self._h_id) if self._h_id in before else len(self._h_ids)
            last = nodes[-1].GetID() if nodes else ""
            left = self._h_ids[row] if row < len(self._h_ids) else last
            self._h_select(left if row > 0 else "")

    def _h_row(self, node_id):
        return self._h_ids.index(node_id) if node_id in self._h_ids else -1

    def _h_node_added(self, node):
        if self._h_accepts(node):
            self._h_refill()
            self.nodeAdded.emit(node)

    def _h_node_removed(self, node):
        if node is not None and node.GetID() in self._h_ids:
            self.nodeAboutToBeRemoved.emit(node)
            self._h_refill()

    def _h_picked(self, index):
        if not self._h_filling and 0 <= index < len(self._h_ids):
            self._h_select(self._h_ids[index])

    def _h_select(self, node_id):
        scene = self.mrmlScene()
        if scene is None:
            self._h_requested = node_id
            return
        node = scene.GetNodeByID(node_id) if node_id else None
        if node is not None and node_id not in self._h_ids:
            self._h_refill()
        if node is None or node_id not in self._h_ids:
            node, node_id = None, ""
        self._h_filling = True
        self._h_combo.setCurrentIndex(self._h_row(node_id))
        self._h_filling = False
        if node_id == self._h_id:
            return
        self._h_id = node_id
        if self._h_renaming is not None:
            self._h_renaming[0].RemoveObserver(self._h_renaming[1])
            self._h_renaming = None
        if node is not None:
            me = weakref.ref(self)
            tag = node.AddObserver(
                vtk.vtkCommand.ModifiedEvent, lambda c, e: me() is not None and me()._h_renamed(c)
            )
            self._h_renaming = (node, tag)
        self.currentNodeChanged.emit(node)
        self.currentNodeIDChanged.emit(node_id)

    def _h_renamed(self, node):
        if not shiboken6.isValid(self):
            return
        row, name = self._h_row(node.GetID()), node.GetName() or ""
        if row >= 0 and self._h_combo.itemText(row) != name:
            self._h_combo.setItemText(row, name)
            self.currentNodeRenamed.emit(name)

    def currentNode(self):
        scene = self.mrmlScene()
        return scene.GetNodeByID(self._h_id) if scene is not None and self._h_id else None

    def setCurrentNode(self, node):
        self._h_select(node if isinstance(node, str) else (node.GetID() if node else "") or "")

    def setCurrentNodeID(self, node_id):
        self._h_select(node_id or "")

    def setCurrentNodeIndex(self, index):
        self.setCurrentNode(self.nodeFromIndex(index))

    def nodeCount(self):
        return len(self._h_nodes())

    def nodeFromIndex(self, index):
        nodes = self._h_nodes()
        return nodes[index] if 0 <= index < len(nodes) else None

    def addAttribute(self, kind, name, value=None):
        self._h_attributes.setdefault(kind, {})[name] = value
        self._h_refill()

    def removeAttribute(self, kind, name):
        self._h_attributes.get(kind, {}).pop(name, None)
        self._h_refill()

    def addNode(self, kind=None):
        kind = kind or self.nodeTypes[0]
        node = self.mrmlScene().CreateNodeByClass(kind)
        node.UnRegister(None)
        base = self.baseName or self.mrmlScene().GetTagByClassName(kind)
        node.SetName(self.mrmlScene().GenerateUniqueName(base))
        for name, value in self._h_attributes.get(kind, {}).items():
            node.SetAttribute(name, "" if value is None else str(value))
        node = self.mrmlScene().AddNode(node)
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self):
        if self.currentNode() is not None:
            self.mrmlScene().RemoveNode(self.currentNode())
