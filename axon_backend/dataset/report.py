"""`report.html` of a data set: the status of every case, and every registration for review.

A single file without external resources. As a page cannot write files, it offers the decisions as
the download review.json.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axon_backend import DISCLAIMER
from axon_backend.dataset.settings import PrepareSettings
from axon_backend.evaluation.html import data_uri, render_page, render_script

TEMPLATES = Path(__file__).parent / "templates"
SPLITS = ("train", "validation", "test")
GROUPS = ("biplanar", "paired", "drr")
GROUP_WORDS = {
    "biplanar": "real frontal and lateral X-ray",
    "paired": "real frontal X-ray",
    "drr": "DRRs only",
}


@dataclass
class Line:
    """One case in the report.

    Attributes:
        id, patient, split, group: as in dataset.json; the group is empty if there is no case.
        status: "done", "skipped" (its input cannot be used), "failed" (something else went
            wrong), "rejected" (by a reviewer) or "waiting" (not reached yet).
        reason: why the case is not done.
        ct: which CT, and why.
        notes: remarks.
        entry: the entry in dataset.json.
    """

    id: str
    patient: str
    split: str
    group: str
    status: str = ""
    reason: str = ""
    ct: str = ""
    notes: list[str] = field(default_factory=list)
    entry: dict[str, Any] | None = None

    def with_status(self, status: str, reason: str) -> Line:
        """Set the status; returns the line."""
        self.status, self.reason = status, reason
        return self

    @property
    def real(self) -> list[dict[str, Any]]:
        """The entries of its real X-rays."""
        return [] if self.entry is None else [v for v in self.entry["views"] if v["kind"] == "real"]


def report_html(
    root: Path,
    lines: list[Line],
    remarks: list[str],
    settings: PrepareSettings,
    review: dict[str, dict[str, str]],
) -> str:
    """The page as HTML5; images are read from the cases' folders. ``review`` contains the earlier
    decisions, which are included in the file that the page saves."""
    with_xrays = [line for line in lines if line.real]
    with_xrays.sort(key=lambda line: (min(_score(v) for v in line.real), line.id))
    script = render_script("report.js", TEMPLATES, data_set=_name(lines), earlier=review)
    return render_page(
        "report.html",
        TEMPLATES,
        disclaimer=DISCLAIMER,
        counts=_counts(lines),
        remarks=remarks,
        left_out=[line for line in lines if line.status not in ("done", "rejected")],
        cards=[
            {"line": line, "views": [_view(root, line.id, view) for view in line.real]}
            for line in with_xrays
        ],
        xray_count=sum(len(line.real) for line in with_xrays),
        without_xrays=[
            {"line": line, "image": _image(root, line.id, "case.jpg")}
            for line in lines
            if line.entry is not None and not line.real
        ],
        settings=settings.as_dict(),
        script=script,
    )


def _counts(lines: list[Line]) -> dict[str, Any]:
    count = Counter((line.split, line.group) for line in lines if line.status == "done")
    status = Counter(line.status for line in lines)
    rows = []
    for split in SPLITS:
        numbers = [count[split, group] for group in GROUPS]
        rows.append({"split": split, "numbers": [*numbers, sum(numbers)]})
    return {
        "total": len(lines),
        "by_status": ", ".join(f"{n} {name}" for name, n in sorted(status.items())),
        "headings": [GROUP_WORDS[group] for group in GROUPS],
        "rows": rows,
    }


def _view(root: Path, case: str, view: dict[str, Any]) -> dict[str, Any]:
    """A real X-ray as the page's template takes it."""
    quality = view["quality"]
    days = quality.get("days_from_ct")
    return {
        **{key: view[key] for key in ("role", "view", "source", "decided", "notes")},
        **{key: quality[key] for key in ("verdict", "ncc", "gradient_ncc", "warnings")},
        "name": f"{case}/{view['role']}",
        "image": _image(root, case, f"{view['role']}.jpg"),
        "days": None if days is None else abs(days),
        "digest": view["sha256"][:16],
        "decision": "accept" if view["accepted"] else "reject",
    }


def _image(root: Path, case: str, name: str) -> str:
    """An image as a data URI; empty if the file is missing."""
    try:
        return data_uri((root / "cases" / case / name).read_bytes(), "image/jpeg")
    except OSError:
        return ""


def _score(view: dict[str, Any]) -> float:
    turned = bool(view["quality"]["warnings"])
    return 0.5 * (view["quality"]["ncc"] + view["quality"]["gradient_ncc"]) - turned


def _name(lines: list[Line]) -> str:
    """A name that distinguishes this data set from others in the browser's storage."""
    return hashlib.sha256("|".join(line.id for line in lines).encode()).hexdigest()[:12]
