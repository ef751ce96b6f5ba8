"""Table of metrics against the ground truth CT."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

from AXONReconstructionLib.scene.results import metricsByStage
from AXONReconstructionLib.setup import backend
from AXONReconstructionLib.setup.methods import stageLabel


def prepare(table) -> None:
    """Set up the table widget."""
    table.horizontalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
    table.horizontalHeader().stretchLastSection = True
    table.verticalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
    table.setWordWrap(False)


def fill(table, note, record: dict) -> None:
    """Fill the table: one row per metric, one column per stage and one for the atlas.

    The rows are the metrics of the backend's registry that the record contains.

    Args:
        table: QTableWidget.
        note: label below the table.
        record: run record; its ``metrics`` refer to [0, 1] over the HU window.
    """
    metrics = metricsByStage(record)
    low, high = record.get("hu_window") or (0.0, 1.0)
    rows = _rows(metrics)
    table.clear()
    table.rowCount, table.columnCount = len(rows), len(metrics)
    table.setHorizontalHeaderLabels([_column(record, name) for name in metrics])
    table.setVerticalHeaderLabels([_(metric.heading) for metric in rows])
    for r, metric in enumerate(rows):
        values = [found.get(metric.name) for found in metrics.values()]
        best = metric.best(values)
        table.verticalHeaderItem(r).setToolTip(_(metric.note))
        for c, value in enumerate(values):
            item = qt.QTableWidgetItem(metric.text(value, (low, high)))
            item.setTextAlignment(qt.Qt.AlignCenter)
            item.setToolTip(_(metric.note))
            if value is not None and value == best and len(values) > 1:
                font = item.font()
                font.setBold(True)
                item.setFont(font)
            table.setItem(r, c, item)
    # With room for the scroll bar of a panel that is narrower than the table.
    height = (
        table.horizontalHeader().sizeHint.height() + table.horizontalScrollBar().sizeHint.height()
    )
    for r in range(len(rows)):
        height += table.rowHeight(r)
    table.setFixedHeight(height)
    note.text = _(
        "Bold: best. Atlas: the mean of the training CTs, a baseline that does not use the "
        "X-rays. Intensities are clipped to [{low:.0f}, {high:.0f}] HU."
    ).format(low=low, high=high)


def _rows(metrics: dict) -> list:
    """The registered metrics among those of a record, in the registry's order.

    Empty if the backend's dependencies are missing, so that saved scenes can still be opened.
    """
    try:
        known = backend.load("metrics").registered_metrics()
    except ImportError:
        return []
    present = {name for values in metrics.values() for name in values}
    return [metric for name, metric in known.items() if name in present]


def _column(record: dict, name: str) -> str:
    return _("Atlas") if name == "atlas_mean" else stageLabel(record, name)
