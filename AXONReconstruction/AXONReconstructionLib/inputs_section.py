"""Step 1: the X-rays and, if there is one, the CT of the same patient."""

from __future__ import annotations

import os

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from AXONReconstructionLib import side_labels, xray_views
from AXONReconstructionLib.file_drop import FileDrop
from AXONReconstructionLib.section import Section
from AXONReconstructionLib.xray_form import LATERAL_VIEWS, XrayForm

CT_FILES = "*.nii *.nii.gz *.nrrd *.nhdr *.mha *.mhd *.dcm"
LEAST_CT_SLICES = 8


class InputsSection(Section):
    """Loads, describes and corrects the X-rays, and shows them at once.

    A wrong input is refused in one sentence; what was there before stays.
    """

    uiFile = "Inputs.ui"
    container = "inputsSection"

    def __init__(self, panel) -> None:
        super().__init__(panel)
        self.forms = {role: XrayForm(self, role) for role in xray_views.VIEWS}
        self._updating = False
        self._shownCT: tuple = ()
        ui = self.ui
        ui.groundTruthSelector.connect("currentNodeChanged(vtkMRMLNode*)", self._ctChosen)
        ui.groundTruthFileButton.connect("clicked()", self._browseCT)
        ui.groundTruthFolderButton.connect("clicked()", self._browseFolder)
        ui.dicomButton.connect("clicked()", lambda: slicer.util.selectModule("DICOM"))
        ui.showXraysButton.connect("clicked()", self.show)
        ui.clearInputsButton.connect("clicked()", self.clear)
        self._drop = FileDrop(ui.groundTruthBox, self.loadCT)
        scene = slicer.mrmlScene
        panel.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self._nodeLeaves)

    def parameterNodeChanged(self, node) -> None:
        """Show the inputs that the parameter node names."""
        if node is None:
            return
        for form in self.forms.values():
            form.refresh()
        self._refreshCT()
        given = any(getattr(node, role) is not None for role in self.forms)
        self.ui.showXraysButton.enabled = given
        self.ui.clearInputsButton.enabled = given or node.groundTruth is not None

    def cleanup(self) -> None:
        """Take the letters out of the views."""
        side_labels.shared().cleanup()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _nodeLeaves(self, _scene, _event, leaving) -> None:
        """Without this a selector would turn to the deleted node's neighbour by itself."""
        parameterNode = self.parameterNode
        if parameterNode is None:
            return
        for name in (*self.forms, "groundTruth"):
            if getattr(parameterNode, name) is leaving:
                setattr(parameterNode, name, None)

    # X-rays

    def load(self, role: str, path: str) -> None:
        """Read an X-ray file for a role; it goes where its view says that it belongs."""
        form = self.forms[role]
        self.panel.hideMessage()
        form.reading(os.path.basename(path))

        def finished(xray):
            form.readingOver()
            if self.parameterNode is None:
                return
            self._take(role, xray)

        def failed(error):
            form.readingOver()
            self.panel.reportError(error)

        def cancelled(_nothing=None):  # the scene was closed
            form.readingOver()

        try:
            self.logic.loadRadiograph(
                path,
                assumedView="ll" if role == "lateral" else "pa",
                onFinished=finished,
                onError=failed,
                onCancelled=cancelled,
            )
        except Exception as error:
            failed(error)

    def choose(self, role: str, node) -> None:
        """Take a volume of the scene for a role; None takes the X-ray out."""
        self.panel.hideMessage()
        form = self.forms[role]
        if node is None:
            setattr(self.parameterNode, role, None)
            return
        try:
            if not node.GetAttribute("AXON.View"):
                view = "ll" if role == "lateral" else None
                node = self.logic.loadRadiograph(node, view=view)
            self._take(role, node)
        except Exception as error:
            self.panel.reportError(error)
        form.refreshAnew()

    def corrected(self, role: str) -> None:
        """An X-ray was corrected: an accepted placement was one of another picture."""
        node = self.parameterNode
        xray = getattr(node, role)
        setattr(node, f"{role}Accepted", False)
        if _roleOf(xray) != role:
            setattr(node, role, None)
            self._take(role, xray)
        else:
            self.show()
        # What the correction changed is the X-ray, which the parameter node only names.
        node.parameterNode.Modified()

    def show(self) -> None:
        """Frontal X-ray in the coronal view, lateral in the sagittal view, with R and L."""
        given = {r: getattr(self.parameterNode, r) for r in self.forms}
        given = {role: xray for role, xray in given.items() if xray is not None}
        if not given:
            return
        xray_views.showRoles(given)
        for role, xray in given.items():
            xray_views.showLayers(role, xray)
            xray_views.fit(role, xray)
            side_labels.shared().show(xray_views.VIEWS[role])

    def clear(self) -> None:
        """Take every input out; the volumes stay in the scene."""
        with slicer.util.NodeModify(self.parameterNode.parameterNode):
            for name in (*self.forms, "groundTruth"):
                setattr(self.parameterNode, name, None)

    def mayBecome(self, role: str, view: str) -> bool:
        """Whether a role's X-ray may be called another view; says so when its place is taken."""
        right = "lateral" if view in LATERAL_VIEWS else "frontal"
        xray = getattr(self.parameterNode, role)
        if right == role or getattr(self.parameterNode, right) is None:
            return True
        self._placeIsTaken(xray, right)
        return False

    def _take(self, role: str, xray) -> None:
        """Put an X-ray where its view says that it belongs."""
        right = _roleOf(xray)
        if right != role and getattr(self.parameterNode, right) not in (None, xray):
            self._placeIsTaken(xray, right)
            return
        setattr(self.parameterNode, right, xray)
        if right != role:
            self.panel.say(
                _("{name} is a {view} view: it was put there.").format(
                    name=xray.GetName(), view=_roleName(right)
                )
            )
        self.show()

    def _placeIsTaken(self, xray, role: str) -> None:
        self.panel.showError(
            _(
                "{name} would be the {view} X-ray, and there is one already. Take that one out "
                "first (choose nothing in its list), or correct the view."
            ).format(name=xray.GetName(), view=_roleName(role))
        )

    # The CT

    def loadCT(self, path: str) -> None:
        """Read the CT of the same patient from a file or a DICOM folder."""
        ui = self.ui
        self.panel.hideMessage()
        ui.groundTruthAssumed.text = _("Reading {name}...").format(name=os.path.basename(path))
        ui.groundTruthBox.enabled = False

        def over():
            ui.groundTruthBox.enabled = True
            self._shownCT = ()
            if self.parameterNode is not None:
                self._refreshCT()

        def finished(ct):
            if self.parameterNode is not None:
                self.parameterNode.groundTruth = ct
            over()

        def failed(error):
            over()
            self.panel.reportError(error)

        try:
            self.logic.loadCT(
                path, onFinished=finished, onError=failed, onCancelled=lambda _nothing=None: over()
            )
        except Exception as error:
            failed(error)

    def _browseCT(self) -> None:
        filters = _("CT volumes ({files});;All files (*)").format(files=CT_FILES)
        title = _("CT of the same patient")
        path = qt.QFileDialog.getOpenFileName(self.widget, title, "", filters)
        if isinstance(path, tuple):
            path = path[0]
        if path:
            self.loadCT(path)

    def _browseFolder(self) -> None:
        path = qt.QFileDialog.getExistingDirectory(self.widget, _("Folder of the CT's DICOM files"))
        if path:
            self.loadCT(path)

    def _ctChosen(self, node) -> None:
        if self._updating or self.parameterNode is None or node is self.parameterNode.groundTruth:
            return
        self.panel.hideMessage()
        image = None if node is None else node.GetImageData()
        if node is not None and (image is None or min(image.GetDimensions()) < LEAST_CT_SLICES):
            self.panel.showError(
                _(
                    "{name} is not a CT volume: it is flat or empty. Choose a chest CT; an X-ray "
                    "belongs above."
                ).format(name=node.GetName())
            )
        else:
            self.parameterNode.groundTruth = node
        self._shownCT = ()
        self._refreshCT()

    def _refreshCT(self) -> None:
        ct = self.parameterNode.groundTruth
        image = None if ct is None else ct.GetImageData()
        shown = (ct, None if image is None else image.GetMTime())
        if shown == self._shownCT:
            return
        self._shownCT = shown
        self._updating = True
        self.ui.groundTruthSelector.setCurrentNode(ct)
        self._updating = False
        if image is None:
            text = _("No CT. It is not needed: the X-rays are then placed on an average chest.")
        else:
            size = " x ".join(str(n) for n in image.GetDimensions())
            spacing = " x ".join(f"{mm:.2f}" for mm in ct.GetSpacing())
            text = _("{size} voxels of {spacing} mm.").format(size=size, spacing=spacing)
        self.ui.groundTruthAssumed.text = text


def _roleOf(xray) -> str:
    return "lateral" if xray.GetAttribute("AXON.View") in LATERAL_VIEWS else "frontal"


def _roleName(role: str) -> str:
    return _("frontal") if role == "frontal" else _("lateral")
