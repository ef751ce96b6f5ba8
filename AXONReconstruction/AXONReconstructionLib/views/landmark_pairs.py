"""Landmark pairs: the same anatomy on the X-ray and on its DRR."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.views import xray_views

ATTRIBUTE = "AXON.LandmarksOf"
COLOURS = {"xray": (1.0, 0.8, 0.1), "drr": (0.2, 0.9, 1.0)}


class LandmarkPairs:
    """Two markups nodes per role, identified by an attribute, also in a loaded scene."""

    def node(self, role: str, side: str, create: bool = False):
        """The markups of a role on ``xray`` or ``drr``; None if absent, unless `create`."""
        for node in slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode"):
            if node.GetAttribute(ATTRIBUTE) == f"{role}/{side}":
                return node
        if not create:
            return None
        name = _("X-ray landmarks") if side == "xray" else _("DRR landmarks")
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
        """Make the landmarks on the X-ray move with it."""
        points = self.node(role, "xray")
        if points is not None and points.GetParentTransformNode() is not transform:
            points.SetAndObserveTransformNodeID(None if transform is None else transform.GetID())

    def count(self, role: str, side: str) -> int:
        """Number of points placed."""
        node = self.node(role, side)
        return 0 if node is None else node.GetNumberOfDefinedControlPoints()

    def show(self, role: str) -> None:
        """Show the landmarks of one role only."""
        for node in slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode"):
            owner = node.GetAttribute(ATTRIBUTE)
            if owner and node.GetDisplayNode() is not None:
                node.GetDisplayNode().SetVisibility(owner.startswith(role + "/"))

    def clear(self, role: str) -> None:
        """Remove all landmarks of a role."""
        for side in COLOURS:
            node = self.node(role, side)
            if node is not None:
                node.RemoveAllControlPoints()

    def startPlacing(self, node) -> None:
        """Enter place mode: each click in a view adds a point, until `stopPlacing`."""
        markups = slicer.modules.markups.logic()
        markups.SetActiveList(node)
        markups.StartPlaceMode(True)

    def stopPlacing(self) -> None:
        """Leave place mode."""
        interaction = slicer.app.applicationLogic().GetInteractionNode()
        if interaction.GetCurrentInteractionMode() == interaction.Place:
            interaction.SetCurrentInteractionMode(interaction.ViewTransform)

    def isPlacing(self) -> bool:
        """Whether place mode is active."""
        interaction = slicer.app.applicationLogic().GetInteractionNode()
        return interaction.GetCurrentInteractionMode() == interaction.Place
