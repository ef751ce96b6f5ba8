"""How well an X-ray fitted, step by step: a table of the scene and a plot of it."""

from __future__ import annotations

import numpy as np
import slicer
from slicer.i18n import tr as _

from AXONReconstructionLib.views import xray_views

ROLE_ATTRIBUTE = "AXON.SimilarityOf"
COLUMNS = ("Step", "Fit", "Grey values", "Borders", "Search")


class SimilarityLog:
    """One table a role. A row is a step of a search or a move of the user.

    Columns: ``Step`` counts rows; ``Fit`` is the mean of ``Grey values`` (NCC) and ``Borders``
    (gradient NCC); ``Search`` is 1 for a step of a search, of which only the fit is known (the
    other two then repeat it).
    """

    def table(self, role: str):
        """The role's table, made when there is none."""
        found = self._find("vtkMRMLTableNode", role)
        if found is not None:
            return found
        made = slicer.mrmlScene.AddNewNodeByClass(
            "vtkMRMLTableNode", _("Fit of the {role} X-ray").format(role=_roleName(role))
        )
        made.SetAttribute(ROLE_ATTRIBUTE, role)
        slicer.util.updateTableFromArray(made, np.zeros((0, len(COLUMNS))), list(COLUMNS))
        return made

    def clear(self, role: str) -> None:
        """Forget a role's rows; without a table none is made."""
        table = self._find("vtkMRMLTableNode", role)
        if table is not None and table.GetNumberOfRows():
            slicer.util.updateTableFromArray(table, np.zeros((0, len(COLUMNS))), list(COLUMNS))

    def add(self, role: str, quality: dict) -> None:
        """A placement's score, as `logic.assess` gives it."""
        grey, borders = float(quality["ncc"]), float(quality["gradient_ncc"])
        row = (0.5 * (grey + borders), grey, borders, 0.0)
        before = self.rows(role)
        if not before or before[-1][1:] != row:  # the same place again is no step
            self._append(role, [row])

    def addSearch(self, role: str, history) -> None:
        """The (step, similarity) of a search."""
        self._append(role, [(float(s), float(s), float(s), 1.0) for _step, s in history])

    def rows(self, role: str) -> list[tuple[float, ...]]:
        """Every row of a role."""
        table = self._find("vtkMRMLTableNode", role)
        if table is None:
            return []
        columns = [slicer.util.arrayFromTableColumn(table, name) for name in COLUMNS]
        return [tuple(float(v) for v in row) for row in zip(*columns, strict=True)]

    def show(self, role: str, roles) -> None:
        """Show the plot under the slice views of `roles`."""
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
        chart.SetTitle(_("Fit of the {role} X-ray (1 is perfect)").format(role=_roleName(role)))
        chart.SetXAxisTitle(_("steps of the search and your moves"))
        chart.SetYAxisTitle(_("fit"))
        colours = ((0.16, 0.45, 0.80), (0.55, 0.55, 0.55), (0.85, 0.55, 0.15))
        names = (_("fit"), _("grey values"), _("borders"))
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
