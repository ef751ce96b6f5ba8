"""Step 2: registration of each X-ray to a DRR of the CT or the atlas."""

from __future__ import annotations

from slicer.i18n import tr as _

from AXONReconstructionLib.panel.acceptance_box import AcceptanceBox
from AXONReconstructionLib.panel.auto_register import AutoRegister
from AXONReconstructionLib.panel.landmarks_box import LandmarksBox
from AXONReconstructionLib.panel.move_box import MoveBox
from AXONReconstructionLib.panel.pose_box import PoseBox
from AXONReconstructionLib.panel.quality_box import QualityBox
from AXONReconstructionLib.panel.section import Section
from AXONReconstructionLib.scene.live_drr import DrrUpdater
from AXONReconstructionLib.scene.placement import Placement
from AXONReconstructionLib.scene.placement_state import ROLES
from AXONReconstructionLib.setup import backend
from AXONReconstructionLib.views import side_labels, xray_views
from AXONReconstructionLib.views.overlay import Overlay

_MODES = ("blend", "checkerboard", "flicker", "difference")
_WATCHED = ("Drr", "Accepted", "Transform")


class RegisterSection(Section):
    """Overlay, registration, quality and acceptance.

    Nothing is computed before the section is opened. The section's boxes use its current `role`,
    `xray`, `drr`, `ct`, `pose` and `missing`, and make all changes through `placement`.
    """

    uiFile = "Register.ui"
    container = "registerSection"

    def __init__(self, panel) -> None:
        super().__init__(panel)
        self._lastState: tuple = ()
        self._inputs: dict = dict.fromkeys(ROLES, ())
        self._fitted: dict = {}
        self.missing = ""
        self.placement = Placement(self._onMoving, self._onSettled)
        self.overlay = Overlay(self._compositeNode)
        self.drrs = DrrUpdater(panel, self._drrArrived, self._drrFailed)
        self.auto = AutoRegister(self)
        self.quality = QualityBox(self)
        self.move = MoveBox(self)
        self.landmarks = LandmarksBox(self)
        self.poseBox = PoseBox(self)
        self.acceptance = AcceptanceBox(self)
        ui = self.ui
        names = _("Blend"), _("Checkerboard"), _("Flicker"), _("Difference")
        for mode, name in zip(_MODES, names, strict=True):
            ui.overlayModeBox.addItem(name, mode)
        ui.overlayModeBox.connect("currentIndexChanged(int)", self._modeChosen)
        ui.frontalRadio.connect("toggled(bool)", self._roleChosen)
        panel.container(self.container).connect("contentsCollapsed(bool)", self._collapsed)
        for box in (ui.moveBox, ui.poseBox, ui.landmarksBox):
            box.collapsed = True

    # Current images

    @property
    def role(self) -> str:
        """``frontal`` or ``lateral``."""
        return self.parameterNode.registerRole if self.parameterNode is not None else "frontal"

    @property
    def xray(self):
        """The current X-ray, or None."""
        return None if self.parameterNode is None else getattr(self.parameterNode, self.role)

    @property
    def drr(self):
        """Its DRR, or None if not available yet."""
        node = self.parameterNode
        return None if node is None else getattr(node, f"{self.role}Drr")

    @property
    def ct(self):
        """The CT of the same patient, or None."""
        return None if self.parameterNode is None else self.parameterNode.groundTruth

    @property
    def pose(self):
        """The pose of the CT; None without a CT."""
        return None if self.ct is None else self.logic.poseOf(self.parameterNode)

    @property
    def isOpen(self) -> bool:
        """Whether the section is visible."""
        visible = self.panel.isShown and not self.panel.container(self.container).collapsed
        return self.parameterNode is not None and visible

    # Updates from the panel

    def parameterNodeChanged(self, node) -> None:
        """Update if a parameter of this section changed."""
        if node is None:
            self._deactivate()
            return
        self.placement.watch(node)
        state = (
            node.registerRole,
            node.overlayMode,
            node.overlayOpacity,
            *(getattr(node, f"{role}{what}") for role in ROLES for what in _WATCHED),
            *(_stateOf(node, role) for role in ROLES),
        )
        if state == self._lastState:
            return
        before, self._lastState = self._lastState, state
        for role in ROLES:
            self._resetIfInputsChanged(node, role)
        if not before or before[0] != state[0]:
            self.landmarks.roleChanged()
        # Only user actions in this section may change the layout of another step.
        self.update(switchLayout=bool(before) and before[:3] != state[:3])
        self.refresh()

    def _resetIfInputsChanged(self, node, role: str) -> None:
        """Discard quality and acceptance if the X-ray, the CT or the model changed."""
        before, now = self._inputs[role], _stateOf(node, role)
        self._inputs[role] = now
        if before == now:
            return
        self.quality.forget(role)
        if before and before[0] is not None:  # otherwise a scene was loaded: keep its state
            self.quality.log.clear(role)
            setattr(node, f"{role}Accepted", False)

    def busyChanged(self, busy: bool) -> None:
        """Update the buttons when another computation starts or ends."""
        self.auto.refresh()
        if self.parameterNode is not None:
            self.landmarks.refresh()

    def entered(self) -> None:
        """Update, as missing packages may have been installed."""
        self.update()
        self.refresh()

    def exited(self) -> None:
        """Deactivate while another module is shown."""
        self._deactivate()

    def sceneClosing(self) -> None:
        """Release all nodes."""
        self._deactivate()
        self.placement.watch(None)
        self.auto.cancel()
        self.drrs.clear()
        self.quality.scores.clear()
        self._fitted.clear()
        self._inputs = dict.fromkeys(ROLES, ())

    def cleanup(self) -> None:
        """Stop timers and observers."""
        self.sceneClosing()
        self.placement.cleanup()
        self.landmarks.cleanup()

    # Actions

    def update(self, switchLayout: bool = False) -> None:
        """Request the DRR of the current role, if the section is open and there are inputs.

        Args:
            switchLayout: switch to the layout with the X-ray's slice view.
        """
        if not self.isOpen or (self.xray is None and self.ct is None):
            return
        self.missing = backend.available() or ""
        if not self.missing and not self.drrs.request(self.role):
            self._initialise(self.role)
        self.showOverlay(switchLayout)

    def showOverlay(self, switchLayout: bool = False) -> None:
        """Show the images of the role, if its slice view is visible or with `switchLayout`."""
        node = self.parameterNode
        if not self.isOpen or self.landmarks.placing or (self.xray is None and self.drr is None):
            return
        if not xray_views.isShown(self.role):
            if not switchLayout:
                return
            xray_views.showRoles([self.role])
        self.overlay.show(
            self.role, self.xray, self.drr, node.overlayMode, node.overlayOpacity / 100
        )
        subject = self.drr if self.drr is not None else self.xray
        if self._fitted.get(self.role) is not subject:
            self._fitted[self.role] = subject
            xray_views.fit(self.role, subject)
        side_labels.shared().show(xray_views.VIEWS[self.role])

    def refresh(self) -> None:
        """Update all controls."""
        node, ui = self.parameterNode, self.ui
        if node is None:
            return
        frontal = self.role == "frontal"
        (ui.frontalRadio if frontal else ui.lateralRadio).checked = True
        ui.overlayModeBox.currentIndex = _MODES.index(node.overlayMode)
        for part in (ui.opacitySlider, ui.opacitySliderLabel):
            part.visible = node.overlayMode == "blend"
        ui.referenceLabel.text = self._referenceText()
        self.poseBox.refresh()
        self.auto.refresh()
        self.move.refresh()
        self.quality.refresh()
        self.landmarks.refresh()
        self.acceptance.refresh()

    def _referenceText(self) -> str:
        if self.missing:
            return self.missing
        if self.ct is not None:
            return _("DRR of {name}").format(name=self.ct.GetName())
        return _("DRR of the atlas, an average chest (no CT selected)")

    def _onMoving(self, poseMoved: bool) -> None:
        if poseMoved and self.isOpen and not self.missing:
            self.drrs.request(self.role, fast=True)
        self.move.refresh()
        self.overlay.refresh()
        self.acceptance.refresh()

    def _onSettled(self, name: str) -> None:
        self.move.refresh()
        self.move.centre()
        if self.isOpen and not self.missing:
            self.drrs.request(self.role)
            for role in ROLES:
                self.quality.assess(role)
        self.overlay.refresh()
        self.acceptance.refresh()

    def _drrArrived(self, role: str, fast: bool) -> None:
        self._initialise(role)
        if role == self.role:
            self.showOverlay()
            self.move.refresh()
        self.acceptance.refresh()

    def _initialise(self, role: str) -> None:
        """Set the initial placement on a new field, and assess it once."""
        if getattr(self.parameterNode, f"{role}Drr") is None:
            return
        if self.placement.initialise(role):
            self.landmarks.pairs.clear(role)
            self.quality.assess(role)
        elif not self.quality.knows(role):
            self.quality.assess(role)

    def _drrFailed(self, error) -> None:
        self.panel.reportError(error)

    def _modeChosen(self, index: int) -> None:
        if self.parameterNode is not None and 0 <= index < len(_MODES):
            self.parameterNode.overlayMode = _MODES[index]

    def _roleChosen(self, frontal: bool) -> None:
        if self.parameterNode is not None:
            self.parameterNode.registerRole = "frontal" if frontal else "lateral"

    def _collapsed(self, collapsed: bool) -> None:
        if collapsed:
            self._deactivate()
        else:
            self.update(switchLayout=True)
            self.refresh()

    def _compositeNode(self, made=None):
        if made is not None:
            self.parameterNode.overlayVolume = made
        return self.parameterNode.overlayVolume

    def _deactivate(self) -> None:
        """Section hidden: stop flicker, handles and point placement."""
        self.landmarks.stop()
        self.overlay.stop()
        self.move.hideHandles()
        self._lastState = ()


def _stateOf(node, role: str) -> tuple:
    """The inputs that a role's quality and acceptance depend on."""
    xray, ct = getattr(node, role), node.groundTruth
    image = None if xray is None else xray.GetImageData()
    return (
        xray,
        None if image is None else image.GetMTime(),
        None if xray is None else xray.GetAttribute("AXON.View"),
        None if xray is None else xray.GetAttribute("AXON.PixelMm"),
        None if xray is None else xray.GetAttribute("AXON.LooksLike"),
        ct,
        node.bundle if ct is None else "",
    )
