"""Landmark registration: placing, clearing and registering to pairs of points."""

from __future__ import annotations

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from AXONReconstructionLib.views import xray_views
from AXONReconstructionLib.views.landmark_pairs import ATTRIBUTE, LandmarkPairs

MIN_PAIRS = 2


class LandmarksBox(VTKObservationMixin):
    """Controls for landmark pairs; while placing points, only the image they belong to is shown.

    Args:
        section: the Register section.
    """

    def __init__(self, section) -> None:
        VTKObservationMixin.__init__(self)
        self._section = section
        self._ui = section.ui
        self.pairs = LandmarkPairs()
        self._placing = ""
        self._buttons = {
            "xray": self._ui.addXrayPointButton,
            "drr": self._ui.addDrrPointButton,
        }
        for side, button in self._buttons.items():
            button.connect("toggled(bool)", lambda on, side=side: self._toggled(side, on))
        self._ui.clearPointsButton.connect("clicked()", self._clear)
        self._ui.fitPointsButton.connect("clicked()", self._fit)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.NodeRemovedEvent, self._nodeRemoved)

    @property
    def placing(self) -> str:
        """``xray`` or ``drr`` while points are being placed there, else empty."""
        return self._placing

    def refresh(self) -> None:
        """Update the point counts and the buttons."""
        section = self._section
        role, ready = section.role, section.xray is not None and section.drr is not None
        if self._placing and not (ready and self.pairs.node(role, self._placing)):
            self.stop()  # the image or the markups node was deleted
        self._observe()
        onXray, onDrr = (self.pairs.count(role, side) for side in ("xray", "drr"))
        for button in self._buttons.values():
            button.enabled = ready
        self._ui.clearPointsButton.enabled = bool(onXray or onDrr)
        enough = onXray == onDrr >= MIN_PAIRS
        self._ui.fitPointsButton.enabled = ready and enough and not section.panel.isBusy
        if not (onXray or onDrr):
            text = _("No points yet; at least two pairs are required.")
        elif onXray != onDrr:
            text = _(
                "{a} on the X-ray, {b} on the DRR: points must correspond pairwise, in the same "
                "order."
            ).format(a=onXray, b=onDrr)
        elif not enough:
            text = _("1 pair; at least two are required.")
        else:
            text = _("{n} pairs: ready to register.").format(n=onXray)
        self._ui.pairsLabel.text = text

    def roleChanged(self) -> None:
        """Update for the other X-ray."""
        self.stop()
        role, node = self._section.role, self._section.parameterNode
        self.pairs.show(role)
        if node is not None:
            node.xrayLandmarks = self.pairs.node(role, "xray")
            node.drrLandmarks = self.pairs.node(role, "drr")
        self.refresh()

    def stop(self) -> None:
        """Stop placing points."""
        if self._placing:
            self._placing = ""
            for button in self._buttons.values():
                button.checked = False
            self.pairs.stopPlacing()
            self._section.showOverlay()

    def cleanup(self) -> None:
        """Stop observing."""
        self.removeObservers()

    def _toggled(self, side: str, on: bool) -> None:
        if not on:
            if self._placing == side:
                self.stop()
            return
        section = self._section
        self._placing = side
        for other, button in self._buttons.items():
            if other != side:
                button.checked = False
        role, node = section.role, section.parameterNode
        points = self.pairs.node(role, side, create=True)
        setattr(node, f"{side}Landmarks", points)
        self.pairs.attach(role, section.placement.transformOf(role))
        section.overlay.stop()
        if not xray_views.isShown(role):
            xray_views.showRoles([role])
        xray_views.showLayers(role, section.xray if side == "xray" else section.drr)
        self.pairs.startPlacing(points)
        self.refresh()

    def _clear(self) -> None:
        self.stop()
        self.pairs.clear(self._section.role)
        self.refresh()

    def _fit(self) -> None:
        section = self._section
        self.stop()
        node, role = section.parameterNode, section.role
        section.placement.commit()
        try:
            section.logic.registerByLandmarks(
                section.xray,
                self.pairs.node(role, "xray"),
                self.pairs.node(role, "drr"),
                node.groundTruth,
                node.bundle or None,
                section.pose,
            )
        except Exception as error:
            if section.parameterNode is node:  # otherwise the scene was closed
                section.panel.reportError(error)
            return
        section.placement.commit(_("landmark registration"))

    def _observe(self) -> None:
        interaction = slicer.app.applicationLogic().GetInteractionNode()
        event = interaction.InteractionModeChangedEvent
        if not self.hasObserver(interaction, event, self._modeChanged):
            self.addObserver(interaction, event, self._modeChanged)
        for side in self._buttons:
            points = self.pairs.node(self._section.role, side)
            if points is None:
                continue
            for event in (points.PointPositionDefinedEvent, points.PointRemovedEvent):
                if not self.hasObserver(points, event, self._pointsChanged):
                    self.addObserver(points, event, self._pointsChanged)

    def _pointsChanged(self, caller, event) -> None:
        self.refresh()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _nodeRemoved(self, caller, event, node) -> None:
        if self._section.parameterNode is not None and node.GetAttribute(ATTRIBUTE):
            self.refresh()

    def _modeChanged(self, caller, event) -> None:
        # The user may also leave place mode in Slicer's toolbar.
        if self._placing and not self.pairs.isPlacing():
            self.stop()
