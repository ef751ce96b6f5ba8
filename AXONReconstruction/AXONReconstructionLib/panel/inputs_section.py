"""Step 1: the X-rays and, optionally, the CT of the same patient."""

from __future__ import annotations

import os

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from AXONReconstructionLib.panel.file_drop import FileDrop
from AXONReconstructionLib.panel.section import Section
from AXONReconstructionLib.panel.xray_form import LATERAL_VIEWS, XrayForm
from AXONReconstructionLib.setup import backend
from AXONReconstructionLib.views import side_labels, xray_views

MIN_CT_SLICES = 8


class InputsSection(Section):
    """Loads, describes and corrects the X-rays, and shows them immediately.

    Invalid inputs are rejected with a message; the previous selection is kept.
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
        ui.openFilesButton.connect("clicked()", self._browseFiles)
        ui.openFolderButton.connect("clicked()", self._browseFolder)
        self._drops = (
            FileDrop(self.widget, self.openFiles),
            FileDrop(ui.groundTruthBox, lambda paths: self.dropped("ct", paths)),
        )
        scene = slicer.mrmlScene
        panel.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self._nodeAboutToBeRemoved)

    def parameterNodeChanged(self, node) -> None:
        """Show the inputs referenced by the parameter node."""
        if node is None:
            return
        for form in self.forms.values():
            form.refresh()
        self._refreshCT()

    def cleanup(self) -> None:
        """Remove the orientation labels from the views."""
        side_labels.shared().cleanup()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _nodeAboutToBeRemoved(self, _scene, _event, leaving) -> None:
        """Clear the input; the selector would otherwise select a neighbour of the deleted node."""
        parameterNode = self.parameterNode
        if parameterNode is None:
            return
        for name in (*self.forms, "groundTruth"):
            if getattr(parameterNode, name) is leaving:
                setattr(parameterNode, name, None)

    # Files

    def openFiles(self, paths: list[str]) -> None:
        """Open files and folders of one patient: the worker works out which is which."""
        self.panel.hideMessage()
        ui = self.ui
        ui.openFilesButton.enabled = ui.openFolderButton.enabled = False

        def over():
            ui.openFilesButton.enabled = ui.openFolderButton.enabled = True

        def finished(found):
            if self.parameterNode is None:
                return
            for role in self.forms:
                if getattr(found, role) is not None:
                    self.load(role, str(getattr(found, role)))
            if found.ct is not None:
                self.loadCT(str(found.ct))
            if found.notes:
                self.panel.showMessage(" ".join(found.notes))

        self.compute(self.logic.findPatient, paths, finished=finished, over=over)

    def dropped(self, role: str, paths: list[str]) -> None:
        """Open what was dropped on the box of a role (``frontal``, ``lateral``, ``ct``): a single
        file is taken as that."""
        if len(paths) > 1:
            self.openFiles(paths)
        elif role == "ct":
            self.loadCT(paths[0])
        else:
            self.load(role, paths[0])

    def _browseFiles(self) -> None:
        try:
            files = backend.load("imaging.formats").file_patterns()
        except ImportError as error:
            self.panel.reportError(error)
            return
        filters = _("X-rays and CTs ({files});;All files (*)").format(files=files)
        title = _("X-rays and CT of one patient")
        paths = qt.QFileDialog.getOpenFileNames(self.widget, title, "", filters)
        if paths:
            self.openFiles(list(paths))

    def _browseFolder(self) -> None:
        path = qt.QFileDialog.getExistingDirectory(self.widget, _("Folder of one patient"))
        if path:
            self.openFiles([path])

    # X-rays

    def load(self, role: str, path: str) -> None:
        """Load an X-ray file; it is assigned to the role that matches its view."""
        form = self.forms[role]
        self.panel.hideMessage()
        form.showLoading(os.path.basename(path))

        def finished(xray):
            if self.parameterNode is not None:
                self._assign(role, xray)

        self.compute(
            self.logic.loadRadiograph,
            path,
            assumedView="ll" if role == "lateral" else "pa",
            finished=finished,
            over=form.hideLoading,
        )

    def choose(self, role: str, node) -> None:
        """Select a volume of the scene for a role; None clears it."""
        self.panel.hideMessage()
        form = self.forms[role]
        if node is None:
            setattr(self.parameterNode, role, None)
            return
        try:
            if not node.GetAttribute("AXON.View"):
                view = "ll" if role == "lateral" else None
                node = self.logic.loadRadiograph(node, view=view)
            self._assign(role, node)
        except Exception as error:
            self.panel.reportError(error)
        form.forceRefresh()

    def corrected(self, role: str) -> None:
        """Update after a correction: the placement of the uncorrected image is not accepted."""
        node = self.parameterNode
        xray = getattr(node, role)
        setattr(node, f"{role}Accepted", False)
        if _roleOf(xray) != role:
            setattr(node, role, None)
            self._assign(role, xray)
        else:
            self.show()
        # The parameter node only references the corrected X-ray, so it must be notified.
        node.parameterNode.Modified()

    def show(self) -> None:
        """Show the frontal X-ray in the coronal and the lateral in the sagittal view."""
        given = {r: getattr(self.parameterNode, r) for r in self.forms}
        given = {role: xray for role, xray in given.items() if xray is not None}
        if not given:
            return
        xray_views.showRoles(given)
        for role, xray in given.items():
            xray_views.showLayers(role, xray)
            xray_views.fit(role, xray)
            side_labels.shared().show(xray_views.VIEWS[role])

    def canAssign(self, role: str, view: str) -> bool:
        """Whether a role's X-ray can be changed to a view; reports if that input is in use."""
        targetRole = "lateral" if view in LATERAL_VIEWS else "frontal"
        xray = getattr(self.parameterNode, role)
        if targetRole == role or getattr(self.parameterNode, targetRole) is None:
            return True
        self._reportOccupied(xray, targetRole)
        return False

    def _assign(self, role: str, xray) -> None:
        """Assign an X-ray to the role that matches its view."""
        targetRole = _roleOf(xray)
        if targetRole != role and getattr(self.parameterNode, targetRole) not in (None, xray):
            self._reportOccupied(xray, targetRole)
            return
        setattr(self.parameterNode, targetRole, xray)
        if targetRole != role:
            self.panel.showMessage(
                _("{name} is a {view} view and was assigned accordingly.").format(
                    name=xray.GetName(), view=_roleName(targetRole)
                )
            )
        self.show()

    def _reportOccupied(self, xray, role: str) -> None:
        self.panel.showError(
            _(
                "{name} is a {view} view, but a {view} X-ray is already selected. Clear that "
                "selection first, or correct the view."
            ).format(name=xray.GetName(), view=_roleName(role))
        )

    # The CT

    def loadCT(self, path: str) -> None:
        """Load the CT of the same patient from a file or a DICOM folder."""
        ui = self.ui
        self.panel.hideMessage()
        ui.groundTruthAssumed.text = _("Loading {name}...").format(name=os.path.basename(path))
        ui.groundTruthBox.enabled = False

        def over():
            ui.groundTruthBox.enabled = True
            self._shownCT = ()
            if self.parameterNode is not None:
                self._refreshCT()

        def finished(ct):
            if self.parameterNode is not None:
                self.parameterNode.groundTruth = ct

        self.compute(self.logic.loadCT, path, finished=finished, over=over)

    def _ctChosen(self, node) -> None:
        if self._updating or self.parameterNode is None or node is self.parameterNode.groundTruth:
            return
        self.panel.hideMessage()
        image = None if node is None else node.GetImageData()
        if node is not None and (image is None or min(image.GetDimensions()) < MIN_CT_SLICES):
            self.panel.showError(
                _(
                    "{name} is not a CT volume: it has too few slices or is empty. Select a chest "
                    "CT; X-rays are selected above."
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
            text = _(
                "No CT. It is optional: without one, the X-rays are registered to the atlas, an "
                "average chest."
            )
        else:
            size = " x ".join(str(n) for n in image.GetDimensions())
            spacing = " x ".join(f"{mm:.2f}" for mm in ct.GetSpacing())
            text = _("{size} voxels, spacing {spacing} mm.").format(size=size, spacing=spacing)
        self.ui.groundTruthAssumed.text = text


def _roleOf(xray) -> str:
    return "lateral" if xray.GetAttribute("AXON.View") in LATERAL_VIEWS else "frontal"


def _roleName(role: str) -> str:
    return _("frontal") if role == "frontal" else _("lateral")
