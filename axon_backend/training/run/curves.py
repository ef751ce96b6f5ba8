"""The metrics of a run over time: metrics.csv, and TensorBoard if it is installed."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

from axon_backend.training.run.events import write_text_whole

COLUMNS = ("step", "minutes", "loss", "lr", "gradient", "waiting", "memory_gb")
"""Initial columns of metrics.csv; validation metrics are added when they first occur. The step,
minutes of training so far, mean loss since the last row, learning rate, mean norm of the gradient,
share of the time spent waiting for data, peak memory."""
ADVERSARY_LOSS = "adversary_loss"
"""An extra column for adversarial trainings: the mean loss of the adversary."""


class Curves:
    """Writes rows of metrics.

    Args:
        csv_file: metrics.csv. Rows after ``step``, written before a resume, are removed.
        tensorboard: folder for TensorBoard.
        step: the step that the run starts from.

    Attributes:
        missing: a message if TensorBoard is not installed, else empty.
    """

    def __init__(self, csv_file: Path, tensorboard: Path, step: int) -> None:
        self.csv_file = csv_file
        self.columns = list(COLUMNS)
        self.missing = ""
        self._board: Any = None
        if csv_file.exists():
            self._trim(step)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self.missing = (
                "TensorBoard is not installed (pip install axon-ct[train]); the curves are in "
                "metrics.csv only."
            )
            return
        self._board = SummaryWriter(str(tensorboard), purge_step=step + 1)

    def _rows(self) -> list[dict[str, str]]:
        with open(self.csv_file, newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))

    def _trim(self, step: int) -> None:
        kept = []
        for row in self._rows():
            self.columns += [c for c in row if c and c not in self.columns]
            number = row.get("step") or ""
            if number.isdigit() and int(number) <= step:
                kept.append(row)
        self._write_all(kept)

    def _write_all(self, rows: list[dict[str, Any]]) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(
            text, self.columns, restval="", extrasaction="ignore", lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(rows)
        write_text_whole(self.csv_file, text.getvalue())

    def add(self, step: int, values: dict[str, float]) -> None:
        """Add a row; new metrics become new columns."""
        row = {"step": step} | {
            k: f"{v:.9g}" for k, v in values.items() if v is not None and math.isfinite(v)
        }
        new = [k for k in row if k not in self.columns]
        if new or not self.csv_file.exists():
            old = self._rows() if self.csv_file.exists() else []
            self.columns += new
            self._write_all([*old, row])
        else:
            with open(self.csv_file, "a", newline="", encoding="utf-8") as stream:
                csv.DictWriter(stream, self.columns, restval="", lineterminator="\n").writerow(row)
        if self._board is not None:
            for name, value in values.items():
                group = "train" if name in (*COLUMNS, ADVERSARY_LOSS) else "validation"
                self._board.add_scalar(f"{group}/{name}", value, step)

    def image(self, step: int, name: str, file: Path) -> None:
        """Show a PNG in TensorBoard."""
        if self._board is not None:
            import numpy as np
            from PIL import Image

            with Image.open(file) as image:
                pixels = np.asarray(image.convert("RGB"))
            self._board.add_image(f"samples/{name}", pixels, step, dataformats="HWC")

    def close(self) -> None:
        """Flush and close the TensorBoard file."""
        if self._board is not None:
            self._board.close()
