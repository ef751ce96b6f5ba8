"""Landmark pairs: two buttons that set points, one that removes them, one that fits."""

from __future__ import annotations

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from AXONReconstructionLib.views.landmark_pairs import ATTRIBUTE, LandmarkPairs
from AXONReconstructionLib.views import xray_views

MIN_PAIRS = 2


class LandmarksBox(VTKObservationMixin):
    """Points are set while only the picture that they belong to is shown.

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
        """``xray`` or ``drr`` while clicks set points there, else empty."""
        return self._placing

    def refresh(self) -> None:
        """Counts, and what can be pressed."""
        section = self._section
        role, ready = section.role, section.xray is not None and section.drr is not None
        if self._placing and not (ready and self.pairs.node(role, self._placing)):
            self.stop()  # what the clicks were for was deleted
        self._watch()
        onXray, onDrr = (self.pairs.count(role, side) for side in ("xray", "drr"))
        for button in self._buttons.values():
            button.enabled = ready
        self._ui.clearPointsButton.enabled = bool(onXray or onDrr)
        enough = onXray == onDrr >= MIN_PAIRS
        self._ui.fitPointsButton.enabled = ready and enough and not section.panel.isBusy
        if not (onXray or onDrr):
            text = _("No points yet; at least two pairs are needed.")
        elif onXray != onDrr:
            text = _(
                "{a} on the X-ray, {b} on the computed radiograph: each needs its partner, in "
                "the same order."
            ).format(a=onXray, b=onDrr)
        elif not enough:
            text = _("1 pair; at least two are needed.")
        else:
            text = _("{n} pairs: ready to fit.").format(n=onXray)
        self._ui.pairsLabel.text = text

    def roleChanged(self) -> None:
        """Another X-ray is looked at."""
        self.stop()
        role, node = self._section.role, self._section.parameterNode
        self.pairs.show(role)
        if node is not None:
            node.xrayLandmarks = self.pairs.node(role, "xray")
            node.drrLandmarks = self.pairs.node(role, "drr")
        self.refresh()

    def stop(self) -> None:
        """Clicks no longer set points."""
        if self._placing:
            self._placing = ""
            for button in self._buttons.values():
                button.checked = False
            self.pairs.stopPlacing()
            self._section.showOverlay()

    def cleanup(self) -> None:
        """Stop watching."""
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
            if section.parameterNode is node:  # else the scene was closed meanwhile
                section.panel.reportError(error)
            return
        section.placement.commit(_("fit to points"))

    def _watch(self) -> None:
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
        # The user may also leave the mode by Slicer's own mouse buttons.
        if self._placing and not self.pairs.isPlacing():
            self.stop()
