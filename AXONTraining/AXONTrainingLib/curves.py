"""Training curves in Slicer's plot views."""

from __future__ import annotations

import numpy as np
import slicer
from slicer.i18n import tr as _

ATTRIBUTE = "AXON.Training"
COLOURS = (
    (0.16, 0.45, 0.80),
    (0.85, 0.45, 0.10),
    (0.20, 0.60, 0.30),
    (0.60, 0.30, 0.65),
    (0.45, 0.45, 0.45),
    (0.75, 0.20, 0.25),
)
WINDOW = 21  # steps of the running median


class Curves:
    """Two tables with a chart each: training loss by step, and validation metrics."""

    def __init__(self) -> None:
        self._layoutBefore: int | None = None

    def update(self, parameterNode, watch) -> None:
        """Update tables and charts from the events of a run."""
        if watch.losses:
            steps, losses = (np.array(column, float) for column in zip(*watch.losses, strict=True))
            columns = {_("loss"): losses, _("loss, smoothed"): smoothed(losses)}
            parameterNode.lossTable = self._fill("loss", _("Training loss"), steps, columns)
        if watch.metrics:
            validated = sorted(
                {step for points in watch.metrics.values() for step, _value in points}
            )
            columns = {}
            for name in plotted(watch.metrics):
                known = dict(watch.metrics[name])
                columns[name] = np.array([known.get(step, np.nan) for step in validated], float)
            title = _("Validation patients")
            parameterNode.metricsTable = self._fill("metrics", title, np.array(validated), columns)

    def show(self) -> None:
        """Show the loss chart below the slice views; the plot view offers the other chart too."""
        chart = self._find("vtkMRMLPlotChartNode", "loss")
        if chart is None:
            return
        layout = slicer.app.layoutManager()
        wanted = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpPlotView
        if layout.layout != wanted:
            self._layoutBefore = layout.layout
            layout.setLayout(wanted)
        application = slicer.app.applicationLogic()
        application.GetSelectionNode().SetReferenceActivePlotChartID(chart.GetID())
        application.PropagatePlotChartSelection()

    def hide(self) -> None:
        """Restore the layout from before `show`."""
        if self._layoutBefore is not None:
            slicer.app.layoutManager().setLayout(self._layoutBefore)
            self._layoutBefore = None

    def _fill(self, kind: str, title: str, steps, columns: dict):
        table = self._find("vtkMRMLTableNode", kind)
        if table is None:
            table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", title)
            table.SetAttribute(ATTRIBUTE, kind)
        names = [_("step"), *columns]
        values = np.column_stack([steps, *columns.values()])
        slicer.util.updateTableFromArray(table, values, names)
        self._draw(kind, title, table, list(columns))
        return table

    def _draw(self, kind: str, title: str, table, names: list[str]) -> None:
        chart = self._find("vtkMRMLPlotChartNode", kind)
        if chart is None:
            chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", title)
            chart.SetAttribute(ATTRIBUTE, kind)
            chart.SetTitle(title)
            chart.SetXAxisTitle(_("step"))
        present = [chart.GetNthPlotSeriesNode(i) for i in range(chart.GetNumberOfPlotSeriesNodes())]
        known = {series.GetName() for series in present if series is not None}
        for number, name in enumerate(names):
            if name in known:
                continue
            series = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", name)
            series.SetName(name)
            series.SetAndObserveTableNodeID(table.GetID())
            series.SetXColumnName(_("step"))
            series.SetYColumnName(name)
            series.SetPlotType(series.PlotTypeScatter)
            markers = kind == "metrics"
            series.SetMarkerStyle(series.MarkerStyleCircle if markers else series.MarkerStyleNone)
            series.SetColor(*COLOURS[number % len(COLOURS)])
            chart.AddAndObservePlotSeriesNodeID(series.GetID())

    @staticmethod
    def _find(kind: str, which: str):
        for node in slicer.util.getNodesByClass(kind):
            if node.GetAttribute(ATTRIBUTE) == which:
                return node
        return None


def plotted(metrics: dict) -> list[str]:
    """The metrics to plot in one chart: PSNR values (dB) if there are any."""
    decibels = [name for name in metrics if "psnr" in name]
    return (decibels or list(metrics))[: len(COLOURS)]


def smoothed(values: np.ndarray) -> np.ndarray:
    """Running median over the last `WINDOW` values."""
    return np.array([np.median(values[max(0, i + 1 - WINDOW) : i + 1]) for i in range(len(values))])
