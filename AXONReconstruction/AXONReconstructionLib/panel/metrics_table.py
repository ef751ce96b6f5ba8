"""The metrics against the true CT as a small table in plain words."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

from AXONReconstructionLib.scene.results import measures
from AXONReconstructionLib.setup import backend
from AXONReconstructionLib.views import display


def prepare(table) -> None:
    """Set up the table widget."""
    table.horizontalHeader().setSectionResizeMode(qt.QHeaderView.Stretch)
    table.verticalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
    table.setWordWrap(False)


def fill(table, note, record: dict) -> None:
    """One row a metric, one column a stage, and one for the average chest.

    The rows are those of the backend's registry of metrics that the record has.

    Args:
        table: QTableWidget.
        note: label below it.
        record: of the run; its ``metrics`` are on [0, 1] over the HU window.
    """
    metrics = measures(record)
    low, high = record.get("hu_window") or (0.0, 1.0)
    rows = _rows(metrics)
    table.clear()
    table.rowCount, table.columnCount = len(rows), len(metrics)
    table.setHorizontalHeaderLabels([_column(name) for name in metrics])
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
    height = table.horizontalHeader().sizeHint.height() + 4
    for r in range(len(rows)):
        height += table.rowHeight(r)
    table.setFixedHeight(height)
    note.text = _(
        "Bold: best. Average: the mean chest of the training patients, which knows nothing of this "
        "one. Compared inside the window from {low:.0f} to {high:.0f} HU."
    ).format(low=low, high=high)


def _rows(metrics: dict) -> list:
    """The registered metrics among those of a record, in the registry's order.

    Empty where the backend's packages are missing: a scene of another computer still opens.
    """
    try:
        known = backend.load("metrics").registered_metrics()
    except ImportError:
        return []
    present = {name for values in metrics.values() for name in values}
    return [metric for name, metric in known.items() if name in present]


def _column(name: str) -> str:
    short = {"sr": _("High res."), "atlas_mean": _("Average")}
    return short.get(name) or display.stageName(name)
