"""Pairs of points: the same anatomy on the X-ray and on its computed radiograph."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.views import xray_views

ATTRIBUTE = "AXON.LandmarksOf"
COLOURS = {"xray": (1.0, 0.8, 0.1), "drr": (0.2, 0.9, 1.0)}


class LandmarkPairs:
    """Two lists of points for each role, found again in a loaded scene by their attribute."""

    def list(self, role: str, side: str, make: bool = False):
        """The points of a role on ``xray`` or ``drr``; None when there are none, unless `make`."""
        for node in slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode"):
            if node.GetAttribute(ATTRIBUTE) == f"{role}/{side}":
                return node
        if not make:
            return None
        name = _("X-ray points") if side == "xray" else _("computed points")
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
        node.SetAttribute(ATTRIBUTE, f"{role}/{side}")
        node.SetControlPointLabelFormat("%d")
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetSelectedColor(*COLOURS[side])
        display.SetColor(*COLOURS[side])
        display.SetGlyphScale(2.0)
        display.SetTextScale(4.0)
        display.SetPropertiesLabelVisibility(False)
        display.SetPointLabelsVisibility(True)
        sliceNode = xray_views.sliceNode(role)
        if sliceNode is not None:
            display.AddViewNodeID(sliceNode.GetID())
        return node

    def attach(self, role: str, transform) -> None:
        """Let the points on the X-ray move with it."""
        points = self.list(role, "xray")
        if points is not None and points.GetParentTransformNode() is not transform:
            points.SetAndObserveTransformNodeID(None if transform is None else transform.GetID())

    def count(self, role: str, side: str) -> int:
        """Points that are set."""
        node = self.list(role, side)
        return 0 if node is None else node.GetNumberOfDefinedControlPoints()

    def show(self, role: str) -> None:
        """Show the points of one role only."""
        for node in slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode"):
            owner = node.GetAttribute(ATTRIBUTE)
            if owner and node.GetDisplayNode() is not None:
                node.GetDisplayNode().SetVisibility(owner.startswith(role + "/"))

    def clear(self, role: str) -> None:
        """Remove every point of a role."""
        for side in COLOURS:
            node = self.list(role, side)
            if node is not None:
                node.RemoveAllControlPoints()

    def startPlacing(self, node) -> None:
        """Each click in a view now sets a point of a list, until `stopPlacing`."""
        markups = slicer.modules.markups.logic()
        markups.SetActiveList(node)
        markups.StartPlaceMode(True)

    def stopPlacing(self) -> None:
        """The mouse looks around again."""
        interaction = slicer.app.applicationLogic().GetInteractionNode()
        if interaction.GetCurrentInteractionMode() == interaction.Place:
            interaction.SetCurrentInteractionMode(interaction.ViewTransform)

    def isPlacing(self) -> bool:
        """Whether a click sets a point."""
        interaction = slicer.app.applicationLogic().GetInteractionNode()
        return interaction.GetCurrentInteractionMode() == interaction.Place
