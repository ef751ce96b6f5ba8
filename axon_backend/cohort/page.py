"""The summary of a cohort: ``summary.csv`` and ``index.html``, a sortable table with thumbnails."""

from __future__ import annotations

import csv
import io
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from axon_backend import DISCLAIMER
from axon_backend.bundle import Bundle
from axon_backend.cohort.storage import Storage
from axon_backend.cohort.thumbnail import THUMBNAIL
from axon_backend.evaluation.html import data_uri, render_page, render_script
from axon_backend.util.plain_text import no_formula

TEMPLATES = Path(__file__).parent / "templates"
MOST_SHOWN = 2000  # studies on the page, about 10 MB
COLUMNS = ("id", "status", "reason", "views", "frontal", "lateral", "frontal_ncc", "lateral_ncc",
           "psnr", "ssim3d_gauss11", "warnings", "seconds")  # fmt: skip


def write_summary(
    storage: Storage, records: Sequence[dict[str, Any]], settings: dict[str, Any], bundle: Bundle
) -> None:
    """Write both files beside the cases."""
    rows = [_row(record) for record in records]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([no_formula(str(row[column])) for column in COLUMNS] for row in rows)
    storage.write("summary.csv", text.getvalue())
    storage.write("index.html", _page(storage, records, rows, settings, bundle))


def _row(record: dict[str, Any]) -> dict[str, Any]:
    """A row of the table from a record; unknown values are empty."""
    verdicts, seen = record.get("verdicts") or {}, record.get("reprojection") or {}
    metrics = record.get("metrics") or {}
    return {
        "id": record["id"],
        "status": record["status"],
        "reason": record["reason"],
        "views": record.get("views", ""),
        **{role: verdicts.get(role, "") for role in ("frontal", "lateral")},
        **{f"{role}_ncc": seen.get(role, "") for role in ("frontal", "lateral")},
        **{name: _rounded(metrics.get(name)) for name in ("psnr", "ssim3d_gauss11")},
        "warnings": len(record.get("warnings", ())),
        "seconds": "" if record.get("seconds") is None else record["seconds"],
    }


def _rounded(value: float | None) -> float | str:
    return "" if value is None else round(value, 4)


def _page(
    storage: Storage,
    records: Sequence[dict[str, Any]],
    rows: Sequence[dict[str, Any]],
    settings: dict[str, Any],
    bundle: Bundle,
) -> str:
    # Studies that need attention come first.
    order = {"failed": 0, "refused": 1, "waiting": 2, "done": 3}
    shown = sorted(
        zip(records, rows, strict=True), key=lambda pair: (order[pair[1]["status"]], pair[1]["id"])
    )
    seconds = [r["seconds"] for r in records if r["status"] == "done" and r.get("seconds")]
    return render_page(
        "cohort.html",
        TEMPLATES,
        disclaimer=DISCLAIMER,
        counts=sorted(Counter(record["status"] for record in records).items()),
        total=len(records),
        median=statistics.median(seconds) if seconds else None,
        studies=[
            {**row, "notes": _notes(record), "image": _image(storage, record)}
            for record, row in shown[:MOST_SHOWN]
        ],
        left_out=max(0, len(records) - MOST_SHOWN),
        model=f"{bundle.name} {bundle.version}",
        settings={k: v for k, v in settings.items() if v is not None},
        script=render_script("cohort.js", TEMPLATES),
    )


def _notes(record: dict[str, Any]) -> list[str]:
    return [*record.get("warnings", ()), *record.get("notes", ())]


def _image(storage: Storage, record: dict[str, Any]) -> str:
    """The thumbnail as a data URI; empty if there is none."""
    data = storage.read(record["id"], THUMBNAIL) if record["status"] == "done" else None
    return "" if data is None else data_uri(data, "image/jpeg")
