"""`metrics.csv` and the tables of `metrics.md`: methods against the truth over many cases."""

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
from axon_backend.imaging.write import write_text
from axon_backend.metrics import registered_metrics
from axon_backend.util.plain_text import no_formula, no_markdown

BASELINE = "atlas_mean"  # measured beside every method
KEYS = ("id", "method", "stage", "views")
#: Every row has these; other registered metrics may follow.
MAIN_METRICS = ("mae", "mse", "psnr", "ssim3d_gauss11")
REGIONS = {"box": "Whole volume", "body": "Inside the body"}

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
        writer.writerow(
            {k: f"{v:.6g}" if isinstance(v, float) else no_formula(v) for k, v in row.items()}
        )
    return write_text(path, text.getvalue())


def write_metrics_markdown(
    path: str | os.PathLike[str], rows: Iterable[Row], notes: Sequence[str] = ()
) -> Path:
    """Write `metrics_markdown` with a title; `notes` are paragraphs (settings, inputs, failures)
    between the tables and the disclaimer."""
    parts = ["# Evaluation against the true CT", metrics_markdown(rows), *notes, f"{DISCLAIMER}."]
    return write_text(path, "\n\n".join(parts) + "\n")


def metrics_markdown(rows: Iterable[Row]) -> str:
    """Mean and sample standard deviation over the cases.

    One table for metrics of the whole volume and one for those inside the body, with a line for
    each number of views, method and stage; then the definition of every metric. Values that are not
    numbers (no body found) are left out of a mean, and a cell without any is `-`.
    """
    checked = _checked(rows)
    names = _metrics_of(checked)
    known = registered_metrics()
    groups: dict[tuple[int, str, str], list[Row]] = {}
    for row in checked:
        groups.setdefault((row["views"], row["method"], row["stage"]), []).append(row)
    # One view before two, the baseline before the methods; otherwise in the order of the rows.
    order = sorted(groups, key=lambda k: (k[0], k[1] != BASELINE))
    parts = []
    for region, title in REGIONS.items():
        shown = [name for name in names if known[name].region == region]
        if shown:
            table = _table({key: groups[key] for key in order}, shown)
            parts.append(f"## {title}\n\n{table}")
    definitions = "\n".join(f"- `{name}`: {known[name].note}" for name in names)
    parts.append(
        "Mean ± standard deviation over the cases. Values are on [0, 1] after the HU window, data "
        "range 1, so they have no unit (PSNR: dB). Each stage is compared at its own resolution."
        f"\n\n{definitions}\n- `atlas_mean`: the mean training volume, the same for every patient; "
        "a method is only useful where it is better"
    )
    return "\n\n".join(parts)


def _table(groups: Mapping[tuple[int, str, str], Sequence[Row]], names: Sequence[str]) -> str:
    lines = [
        f"| views | method | stage | cases | {' | '.join(names)} |",
        f"| ---: | --- | --- | ---: |{' ---: |' * len(names)}",
    ]
    for (views, method, stage), rows in groups.items():
        cells = [_mean_and_std([row.get(name) for row in rows]) for name in names]
        run = f"{no_markdown(method)} | {no_markdown(stage) or '-'}"
        lines.append(f"| {views} | {run} | {len(rows)} | {' | '.join(cells)} |")
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
    """The columns: the main metrics and every other registered metric that some row has."""
    return [
        name
        for name in registered_metrics()
        if name in MAIN_METRICS or any(name in row for row in rows)
    ]


def _mean_and_std(values: Sequence[float | None]) -> str:
    numbers = [v for v in values if v is not None and not math.isnan(v)]
    if not numbers:
        return "-"
    mean = f"{statistics.fmean(numbers):.4g}"
    return mean if len(numbers) < 2 else f"{mean} ± {statistics.stdev(numbers):.2g}"
