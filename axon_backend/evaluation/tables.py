"""`metrics.csv` and the table of `metrics.md`: a method against the truth over many cases."""

from __future__ import annotations

import csv
import io
import math
import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from axon_backend import DISCLAIMER
from axon_backend.evaluation.metrics import METRIC_NAMES, METRIC_NOTES
from axon_backend.imaging.write import write_text

BASELINE = "atlas_mean"  # measured beside every method
KEYS = ("id", "method", "stage", "views")
#: mae, mse, psnr, ssim3d_gauss11: every table has these, in this order; other metrics may follow.
MAIN_METRICS = METRIC_NAMES[:4]

Row = Mapping[str, Any]


def write_metrics_csv(path: str | os.PathLike[str], rows: Iterable[Row]) -> Path:
    """Write one line for each case, method, stage and number of views.

    A row holds `id`, `method`, `stage` (empty for the baseline, `atlas_mean`), `views` (1 or 2) and
    the metrics, at least `MAIN_METRICS`. Raises ValueError for a row that is not so, and for two
    rows with the same four keys.
    """
    checked = _checked(rows)
    columns = (*KEYS, *_metrics_of(checked))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in checked:
        writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})
    return write_text(path, text.getvalue())


def write_metrics_markdown(
    path: str | os.PathLike[str], rows: Iterable[Row], notes: Sequence[str] = ()
) -> Path:
    """Write `metrics_markdown` with a title; `notes` are paragraphs (settings, inputs, failures)
    between the table and the disclaimer."""
    parts = ["# Evaluation against the true CT", metrics_markdown(rows), *notes, f"{DISCLAIMER}."]
    return write_text(path, "\n\n".join(parts) + "\n")


def metrics_markdown(rows: Iterable[Row]) -> str:
    """Mean and sample standard deviation over the cases, a line for each number of views, method
    and stage; then what each number means. Values that are not numbers (no body found) are left
    out of a mean, and a cell without any is `-`."""
    checked = _checked(rows)
    names = _metrics_of(checked)
    groups: dict[tuple[int, str, str], list[Row]] = {}
    for row in checked:
        groups.setdefault((row["views"], row["method"], row["stage"]), []).append(row)
    # One view before two, the baseline before the methods; otherwise in the order of the rows.
    order = sorted(groups, key=lambda k: (k[0], k[1] != BASELINE))
    lines = [
        f"| views | method | stage | cases | {' | '.join(names)} |",
        f"| ---: | --- | --- | ---: |{' ---: |' * len(names)}",
    ]
    for key in order:
        cells = [_mean_and_deviation([row.get(n) for row in groups[key]]) for n in names]
        lines.append(
            f"| {key[0]} | {key[1]} | {key[2] or '-'} | {len(groups[key])} | {' | '.join(cells)} |"
        )
    lines += [
        "",
        "Mean ± standard deviation over the cases. Values are on [0, 1] after the HU window, data "
        "range 1, so they have no unit (PSNR: dB). Each stage is compared at its own resolution.",
        "",
        *(f"- `{name}`: {METRIC_NOTES[name]}" for name in names),
        "- `atlas_mean`: the mean training volume, the same for every patient; a method is only "
        "useful where it is better",
    ]
    return "\n".join(lines)


def _checked(rows: Iterable[Row]) -> list[Row]:
    checked, seen = list(rows), set()
    for row in checked:
        key = tuple(row.get(name) for name in KEYS)
        _, method, stage, views = key
        if not isinstance(method, str) or not isinstance(stage, str) or views not in (1, 2):
            raise ValueError(f"not a method, stage and number of views: {key}")
        if stage == "" and method != BASELINE:
            raise ValueError(f"the stage is empty for the baseline and only for it: {key}")
        if missing := [name for name in MAIN_METRICS if name not in row]:
            raise ValueError(f"the row {key} lacks {', '.join(missing)}")
        if key in seen:
            raise ValueError(f"two rows for {key}")
        seen.add(key)
    return checked


def _metrics_of(rows: Sequence[Row]) -> list[str]:
    """The columns: the main metrics and every other known metric that some row has."""
    return [n for n in METRIC_NAMES if n in MAIN_METRICS or any(n in row for row in rows)]


def _mean_and_deviation(values: Sequence[float | None]) -> str:
    numbers = [v for v in values if v is not None and not math.isnan(v)]
    if not numbers:
        return "-"
    mean = f"{statistics.fmean(numbers):.4g}"
    return mean if len(numbers) < 2 else f"{mean} ± {statistics.stdev(numbers):.2g}"
