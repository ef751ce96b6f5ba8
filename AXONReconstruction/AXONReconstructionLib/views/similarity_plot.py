"""Similarity of X-ray and DRR over the steps of a registration, as a table and a plot."""

from __future__ import annotations

import numpy as np
import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.views import xray_views

ROLE_ATTRIBUTE = "AXON.SimilarityPlot"
COLUMNS = ("Step", "Similarity", "Intensity NCC", "Gradient NCC", "Search")


class SimilarityLog:
    """One table per role. A row is an optimiser step or a manual change.

    Columns: ``Step`` numbers the rows; ``Similarity`` is the mean of ``Intensity NCC`` and
    ``Gradient NCC``; ``Search`` is 1 for an optimiser step, for which only the similarity is known
    and repeated in the other two columns.
    """

    def table(self, role: str):
        """The role's table, created if needed."""
        found = self._find("vtkMRMLTableNode", role)
        if found is not None:
            return found
        made = slicer.mrmlScene.AddNewNodeByClass(
            "vtkMRMLTableNode", _("Similarity, {role} X-ray").format(role=_roleName(role))
        )
        made.SetAttribute(ROLE_ATTRIBUTE, role)
        slicer.util.updateTableFromArray(made, np.zeros((0, len(COLUMNS))), list(COLUMNS))
        return made

    def clear(self, role: str) -> None:
        """Remove a role's rows; does not create a table."""
        table = self._find("vtkMRMLTableNode", role)
        if table is not None and table.GetNumberOfRows():
            slicer.util.updateTableFromArray(table, np.zeros((0, len(COLUMNS))), list(COLUMNS))

    def add(self, role: str, quality: dict) -> None:
        """Add the quality of a placement, as returned by `logic.assess`."""
        intensity, gradient = float(quality["ncc"]), float(quality["gradient_ncc"])
        row = (0.5 * (intensity + gradient), intensity, gradient, 0.0)
        before = self.rows(role)
        if not before or before[-1][1:] != row:  # an unchanged placement is not a step
            self._append(role, [row])

    def addSearch(self, role: str, history) -> None:
        """Add the (step, similarity) history of a search."""
        self._append(role, [(float(s), float(s), float(s), 1.0) for _step, s in history])

    def rows(self, role: str) -> list[tuple[float, ...]]:
        """All rows of a role."""
        table = self._find("vtkMRMLTableNode", role)
        if table is None:
            return []
        columns = [slicer.util.arrayFromTableColumn(table, name) for name in COLUMNS]
        return [tuple(float(v) for v in row) for row in zip(*columns, strict=True)]

    def show(self, role: str, roles) -> None:
        """Show the plot below the slice views of `roles`."""
        chart = self._chart(role)
        xray_views.showRoles(roles, plot=True)
        application = slicer.app.applicationLogic()
        application.GetSelectionNode().SetReferenceActivePlotChartID(chart.GetID())
        application.PropagatePlotChartSelection()

    def _append(self, role: str, rows) -> None:
        if rows:
            table, before = self.table(role), self.rows(role)
            numbered = [(len(before) + i + 1, *row) for i, row in enumerate(rows)]
            slicer.util.updateTableFromArray(table, np.array(before + numbered), list(COLUMNS))

    def _chart(self, role: str):
        chart = self._find("vtkMRMLPlotChartNode", role)
        if chart is not None:
            return chart
        table = self.table(role)
        chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", table.GetName())
        chart.SetAttribute(ROLE_ATTRIBUTE, role)
        chart.SetTitle(_("Similarity, {role} X-ray (1 is perfect)").format(role=_roleName(role)))
        chart.SetXAxisTitle(_("optimiser steps and manual changes"))
        chart.SetYAxisTitle(_("similarity"))
        colours = ((0.16, 0.45, 0.80), (0.55, 0.55, 0.55), (0.85, 0.55, 0.15))
        names = (_("similarity"), _("intensity NCC"), _("gradient NCC"))
        for column, name, colour in zip(COLUMNS[1:4], names, colours, strict=True):
            series = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", name)
            series.SetAndObserveTableNodeID(table.GetID())
            series.SetXColumnName(COLUMNS[0])
            series.SetYColumnName(column)
            series.SetPlotType(series.PlotTypeScatter)
            series.SetMarkerStyle(series.MarkerStyleCircle)
            series.SetColor(*colour)
            chart.AddAndObservePlotSeriesNodeID(series.GetID())
        return chart

    def _find(self, kind: str, role: str):
        for node in slicer.util.getNodesByClass(kind):
            if node.GetAttribute(ROLE_ATTRIBUTE) == role:
                return node
        return None


def _roleName(role: str) -> str:
    return _("frontal") if role == "frontal" else _("lateral")
