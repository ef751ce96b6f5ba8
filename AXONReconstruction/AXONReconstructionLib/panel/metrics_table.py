"""Table of metrics against the ground truth CT."""

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
    """Fill the table: one row per metric, one column per stage and one for the atlas.

    Args:
        table: QTableWidget.
        note: label below the table.
        record: run record; its ``metrics`` refer to [0, 1] over the HU window.
    """
    metrics = metricsByStage(record)
    low, high = record.get("hu_window") or (0.0, 1.0)
    rows = (
        (_("MAE (HU)"), "mae", lambda v: f"{v * (high - low):.0f}", False),
        (_("MSE"), "mse", lambda v: f"{v:.4f}", False),
        (_("PSNR (dB)"), "psnr", lambda v: f"{v:.1f}", True),
        (_("SSIM"), "ssim3d_gauss11", lambda v: f"{v:.3f}", True),
    )
    tips = (
        _("Mean absolute error over all voxels, in Hounsfield units. 0 is perfect."),
        _("Mean squared error with the HU window scaled to [0, 1]. 0 is perfect."),
        _("Peak signal-to-noise ratio. Higher is better."),
        _("Structural similarity index in 3D, Gaussian window of 11 voxels. 1 is perfect."),
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
        "Bold: best. Atlas: the mean of the training CTs, a baseline that does not use the "
        "X-rays. Intensities are clipped to [{low:.0f}, {high:.0f}] HU."
    ).format(low=low, high=high)


def _column(name: str) -> str:
    short = {"sr": _("High res."), "atlas_mean": _("Atlas")}
    return short.get(name) or display.stageName(name)
