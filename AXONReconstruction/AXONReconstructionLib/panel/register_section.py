"""Step 2: each X-ray over the radiograph computed from the CT or from the average chest."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.panel.auto_register import AutoRegister
from AXONReconstructionLib.panel.acceptance_box import AcceptanceBox
from AXONReconstructionLib.panel.quality_box import QualityBox
from AXONReconstructionLib.panel.landmarks_box import LandmarksBox
from AXONReconstructionLib.panel.move_box import MoveBox
from AXONReconstructionLib.panel.pose_box import PoseBox
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
    """Shows the overlay, moves, scores and accepts.

    Nothing is computed before the section is opened. The boxes of the section ask it for what is
    looked at now: `role`, `xray`, `drr`, `ct`, `pose`, `missing`; and they meet in `placement`,
    the one place through which every change goes.
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

    # What is looked at

    @property
    def role(self) -> str:
        """``frontal`` or ``lateral``."""
        return self.parameterNode.registerRole if self.parameterNode is not None else "frontal"

    @property
    def xray(self):
        """The X-ray that is looked at, or None."""
        return None if self.parameterNode is None else getattr(self.parameterNode, self.role)

    @property
    def drr(self):
        """Its computed radiograph, or None while there is none."""
        node = self.parameterNode
        return None if node is None else getattr(node, f"{self.role}Drr")

    @property
    def ct(self):
        """The CT of the same patient, or None."""
        return None if self.parameterNode is None else self.parameterNode.groundTruth

    @property
    def pose(self):
        """How the CT stands in the beam; None without a CT."""
        return None if self.ct is None else self.logic.poseOf(self.parameterNode)

    @property
    def isOpen(self) -> bool:
        """The user sees the section."""
        state = self.panel.isShown and not self.panel.container(self.container).collapsed
        return self.parameterNode is not None and state

    # What the panel tells

    def parameterNodeChanged(self, node) -> None:
        """Follow the parameter node; cheap where nothing of this section changed."""
        if node is None:
            self._deactivate()
            return
        if slicer.mrmlScene.IsImporting():
            return  # half a scene; the panel calls again when it is whole
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
        # Only what the user did here may take the views from another step.
        self.update(switchLayout=bool(before) and before[:3] != state[:3])
        self.refresh()

    def _resetIfInputsChanged(self, node, role: str) -> None:
        """Another X-ray, CT or model: what was known of the old one is void."""
        before, now = self._inputs[role], _stateOf(node, role)
        self._inputs[role] = now
        if before == now:
            return
        self.quality.forget(role)
        if before and before[0] is not None:  # else a scene was loaded, and what it says holds
            self.quality.log.clear(role)
            setattr(node, f"{role}Accepted", False)

    def busyChanged(self, busy: bool) -> None:
        """Another section computes."""
        self.auto.refresh()
        if self.parameterNode is not None:
            self.landmarks.refresh()

    def entered(self) -> None:
        """The module is shown: what is missing may have been installed meanwhile."""
        self.update()
        self.refresh()

    def exited(self) -> None:
        """Another module is shown."""
        self._deactivate()

    def sceneClosing(self) -> None:
        """Forget every node."""
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

    # What happens

    def update(self, switchLayout: bool = False) -> None:
        """Ask for the radiograph that is looked at, when there is something to look at.

        Args:
            switchLayout: switch to the X-ray's slice view, whatever is shown now.
        """
        if not self.isOpen or (self.xray is None and self.ct is None):
            return
        self.missing = backend.available() or ""
        if not self.missing and not self.drrs.request(self.role):
            self._initialise(self.role)
        self.showOverlay(switchLayout)

    def showOverlay(self, switchLayout: bool = False) -> None:
        """Show the two pictures of the role, where its slice view is shown or with `switchLayout`."""
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
        """Every control as things stand."""
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
            return _("a radiograph computed from {name}").format(name=self.ct.GetName())
        return _("a radiograph of the average chest (no CT was given)")

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
        """Lay the X-ray on the field where it has not been yet, and score it once."""
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
        """Nobody looks: no flicker, no handles, no clicks that set points."""
        self.landmarks.stop()
        self.overlay.stop()
        self.move.hideHandles()
        self._lastState = ()


def _stateOf(node, role: str) -> tuple:
    """Everything about the inputs that makes a role's score and acceptance void when it changes."""
    xray, ct = getattr(node, role), node.groundTruth
    image = None if xray is None else xray.GetImageData()
    return (
        xray,
        None if image is None else image.GetMTime(),
        None if xray is None else xray.GetAttribute("AXON.View"),
        None if xray is None else xray.GetAttribute("AXON.PixelMm"),
        ct,
        node.bundle if ct is None else "",
    )
