"""Table of metrics against the CT, or between two results."""

from __future__ import annotations

import re

import qt
from slicer.i18n import tr as _

from AXONReconstructionLib.scene.results import metricsByStage
from AXONReconstructionLib.setup import backend
from AXONReconstructionLib.setup.methods import stageLabel

# Saved with the result, but not shown: other conventions, and variants of the metrics shown.
_NOT_SHOWN = re.compile(r"ssim3d_uniform7|ssim2d_x2ct|.+_body|assd_.+|volume_error_.+")
# The metrics that decide whether a later stage measures worse.
_HEADLINES = ("ssim3d_gauss11", "psnr")


def prepare(table) -> None:
    """Set up the table widget."""
    table.horizontalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
    table.horizontalHeader().stretchLastSection = True
    table.verticalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
    table.setWordWrap(False)


def columnsOf(record: dict) -> dict[str, dict[str, float]]:
    """The metrics of a record against the CT by title of the column: its stages and the atlas."""
    return {
        _("Atlas") if stage == "atlas_mean" else stageLabel(record, stage): values
        for stage, values in metricsByStage(record).items()
    }


def fill(table, columns: dict[str, dict[str, float]], window, compared=None) -> None:
    """Fill the table: one row for each metric of the backend's registry that occurs.

    Args:
        table: QTableWidget.
        columns: metrics by title; they refer to [0, 1] over the HU window.
        window: (low, high) in HU.
        compared: titles of the columns of which the best is bold; None is all.
    """
    rows = _rows(columns)
    table.clear()
    table.rowCount, table.columnCount = len(rows), len(columns)
    table.setHorizontalHeaderLabels(list(columns))
    table.setVerticalHeaderLabels([_(metric.heading) for metric in rows])
    compared = list(columns) if compared is None else compared
    for r, metric in enumerate(rows):
        best = metric.best([columns[title].get(metric.name) for title in compared])
        table.verticalHeaderItem(r).setToolTip(_(metric.note))
        for c, (title, values) in enumerate(columns.items()):
            value = values.get(metric.name)
            item = qt.QTableWidgetItem(metric.text(value, window))
            item.setTextAlignment(qt.Qt.AlignCenter)
            item.setToolTip(_(metric.note))
            if value is not None and value == best and title in compared and len(compared) > 1:
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


def noteOf(result) -> str:
    """How to read the metrics of a result against the CT."""
    low, high = windowOf(result.record)
    lines = [
        _(
            "Bold: best. Atlas: the mean of the training CTs, a baseline that does not use the "
            "X-rays. Intensities are clipped to [{low:.0f}, {high:.0f}] HU. More metrics are saved."
        ).format(low=low, high=high)
    ]
    if laterStagesMeasureWorse(result):
        lines.append(
            _(
                "A later stage may measure worse: it adds detail that the X-rays do not determine. "
                "This model recommends {stage}, which is shown first."
            ).format(stage=stageLabel(result.record, result.recommendedStage))
        )
    return " ".join(lines)


def laterStagesMeasureWorse(result) -> bool:
    """Whether the last stage measures worse than the one that the model recommends."""
    metrics = result.record.get("metrics") or {}
    first, last = (metrics.get(s) or {} for s in (result.recommendedStage, result.finalStage))
    return any(name in first and first[name] > last.get(name, first[name]) for name in _HEADLINES)


def windowOf(record: dict) -> tuple[float, float]:
    """The HU window of a record's metrics."""
    low, high = record.get("hu_window") or (0.0, 1.0)
    return float(low), float(high)


def _rows(columns: dict) -> list:
    """The registered metrics among those of the columns, in the registry's order.

    Empty if the backend's dependencies are missing, so that saved scenes can still be opened.
    """
    try:
        known = backend.load("metrics").registered_metrics()
    except ImportError:
        return []
    present = {name for values in columns.values() for name in values}
    return [
        metric
        for name, metric in known.items()
        if name in present and not _NOT_SHOWN.fullmatch(name)
    ]
