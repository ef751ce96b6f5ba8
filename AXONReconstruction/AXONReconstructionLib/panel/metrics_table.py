"""The metricsByStage against the true CT as a small table in plain words."""

from __future__ import annotations

import qt
from slicer.i18n import tr as _

from AXONReconstructionLib.scene.results import metricsByStage
from AXONReconstructionLib.views import display


def prepare(table) -> None:
    """Set up the table widget."""
    table.horizontalHeader().setSectionResizeMode(qt.QHeaderView.Stretch)
    table.verticalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
    table.setWordWrap(False)


def fill(table, note, record: dict) -> None:
    """One row a measure, one column a stage, and one for the average chest.

    Args:
        table: QTableWidget.
        note: label below it.
        record: of the run; its ``metrics`` are on [0, 1] over the HU window.
    """
    metrics = metricsByStage(record)
    low, high = record.get("hu_window") or (0.0, 1.0)
    rows = (
        (_("Mean error (HU)"), "mae", lambda v: f"{v * (high - low):.0f}", False),
        (_("Squared error"), "mse", lambda v: f"{v:.4f}", False),
        (_("PSNR (dB)"), "psnr", lambda v: f"{v:.1f}", True),
        (_("SSIM"), "ssim3d_gauss11", lambda v: f"{v:.3f}", True),
    )
    tips = (
        _("Mean absolute difference of all voxels in Hounsfield units; 0 is perfect."),
        _("Mean squared difference on a scale where the whole HU window is 1; 0 is perfect."),
        _("Peak signal-to-noise ratio in decibels; higher is better."),
        _("Structural similarity in 3D, Gaussian window of 11 voxels; 1 is perfect."),
    )
    table.clear()
    table.rowCount, table.columnCount = len(rows), len(metrics)
    table.setHorizontalHeaderLabels([_column(name) for name in metrics])
    table.setVerticalHeaderLabels([row[0] for row in rows])
    for r, (_title, key, text, higher) in enumerate(rows):
        values = {name: found.get(key) for name, found in metrics.items()}
        known = [v for v in values.values() if v is not None]
        best = (max if higher else min)(known) if known else None
        table.verticalHeaderItem(r).setToolTip(tips[r])
        for c, value in enumerate(values.values()):
            item = qt.QTableWidgetItem("" if value is None else text(value))
            item.setTextAlignment(qt.Qt.AlignCenter)
            item.setToolTip(tips[r])
            if value == best and len(known) > 1:
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


def _column(name: str) -> str:
    short = {"sr": _("High res."), "atlas_mean": _("Average")}
    return short.get(name) or display.stageName(name)
