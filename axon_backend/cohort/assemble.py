"""dataset.json and the reports, from the records of the cases, the splits and the review."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from axon_backend import DISCLAIMER, __version__
from axon_backend.cohort.dataset import FILE, FORMAT, VERSION
from axon_backend.cohort.plan import CasePlan, scrubbed
from axon_backend.cohort.report import Line, report_html
from axon_backend.cohort.review import decided, read_review
from axon_backend.cohort.settings import GATES, PrepareSettings
from axon_backend.imaging.write import write_json, write_text

PRIVACY = (
    "Of the source's DICOM tags this data set keeps: PatientID as the case's name, series numbers "
    "and descriptions, views, and the days between CT and X-ray. With --anonymise patients are "
    "numbered, and names of files and series are left out. Names, dates of birth and other tags "
    "are never written. The folder `private` remembers the source's files: leave it out when you "
    "share the data."
)
CSV_COLUMNS = ("id", "patient", "split", "group", "status", "reason", "ct", "frontal", "lateral",
               "days", "notes")  # fmt: skip


def assemble(
    root: Path,
    plans: list[CasePlan],
    records: Mapping[str, dict[str, Any]],
    failed: Mapping[str, str],
    splits: Mapping[str, str],
    settings: PrepareSettings,
    remarks: list[str],
) -> list[Line]:
    """Write dataset.json, report.csv and report.html; files that would stay the same are left.

    Args:
        root: the data set's folder.
        plans: all cases in their order.
        records: by id, of those that were done or skipped.
        failed: by id, why a case went wrong in a way that another run may heal.
        splits: by patient.
        settings: of the run.
        remarks: on the source as a whole.

    Returns:
        The lines of the report.
    """
    review = read_review(root)
    lines = [_line(p, records.get(p.id), failed, splits, settings, review) for p in plans]
    entries = [
        {k: v for k, v in line.entry.items() if k != "notes"}
        for line in lines
        if line.entry is not None and line.status == "done"
    ]
    values: dict[str, Any] = {
        "format": FORMAT, "version": VERSION, "research_use": DISCLAIMER, "created": "",
        "axon_version": __version__, "seed": settings.seed, "settings": settings.as_dict(),
        "hu_window": [settings.hu_low, settings.hu_high], "privacy": PRIVACY, "cases": entries,
    }  # fmt: skip
    _write_dataset(root / FILE, values)
    _write_if_new(root / "report.csv", _csv(lines))
    _write_if_new(root / "report.html", report_html(root, lines, remarks, settings, review))
    return lines


def _line(
    plan: CasePlan,
    record: dict[str, Any] | None,
    failed: Mapping[str, str],
    splits: Mapping[str, str],
    settings: PrepareSettings,
    review: dict[str, dict[str, str]],
) -> Line:
    split = splits.get(plan.patient, "train")
    notes = [scrubbed(n, plan.private) if settings.anonymise else n for n in plan.notes]
    words = scrubbed(plan.ct_words, plan.private) if settings.anonymise else plan.ct_words
    line = Line(plan.id, plan.patient, split, "", ct=words, notes=notes)
    if plan.problem:
        text = scrubbed(plan.problem, plan.private) if settings.anonymise else plan.problem
        return line.with_status("skipped", text)
    if plan.id in failed:
        return line.with_status("failed", failed[plan.id])
    if record is None:
        return line.with_status("waiting", "not reached yet; run the same command again")
    line.notes += record["notes"]
    if record["status"] != "done":
        return line.with_status("skipped", record["reason"])
    views = [_view(plan.id, v, settings, review) for v in record["views"]]
    roles = {v["role"] for v in views if v["kind"] == "real" and v["accepted"]}
    line.group = "biplanar" if len(roles) == 2 else "paired" if "frontal" in roles else "drr"
    line.entry = {
        "id": plan.id, "patient": plan.patient, "split": split, "group": line.group,
        "ct": f"cases/{plan.id}/ct.nii.gz", "frame": record["frame"], "sha256": record["sha256"],
        "pose": record["pose"], "views": views, "notes": line.notes,
    }  # fmt: skip
    if decided(review, f"{plan.id}/ct", record["sha256"][:16]) == "reject":
        return line.with_status("rejected", "left out by a person (review.json)")
    return line.with_status("done", "")


def _view(
    case: str,
    view: dict[str, Any],
    settings: PrepareSettings,
    review: dict[str, dict[str, str]],
) -> dict[str, Any]:
    """A view with its verdict: a person's, else the gate's."""
    view = {**view, "file": f"cases/{case}/{view['file']}"}
    if view["kind"] != "real":
        return {**view, "accepted": True}
    person = decided(review, f"{case}/{view['role']}", view["sha256"][:16])
    if person is not None:
        return {**view, "accepted": person == "accept", "decided": "a person"}
    verdicts = ("poor", *GATES)
    quality = view["quality"]
    passed = verdicts.index(quality["verdict"]) >= verdicts.index(settings.gate)
    # An X-ray that may lie on its side or be mirrored waits for a person.
    turned = any(w.startswith("the X-ray looks") for w in quality["warnings"])
    return {**view, "accepted": passed and not turned, "decided": "the quality gate"}


def _write_dataset(path: Path, values: dict[str, Any]) -> None:
    """Keep the time of the last change where nothing else changes."""
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        if {**before, "created": ""} == json.loads(json.dumps(values)):
            return
    except (OSError, ValueError, TypeError):
        pass
    write_json(path, {**values, "created": time.strftime("%Y-%m-%dT%H:%M:%S%z")})


def _csv(lines: list[Line]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for line in lines:
        real = {v["role"]: v for v in line.real}
        shown = [
            "" if r not in real
            else f"{real[r]['view']} {real[r]['quality']['verdict']}, "
            + ("accepted" if real[r]["accepted"] else "not accepted")
            for r in ("frontal", "lateral")
        ]  # fmt: skip
        days = {v["quality"].get("days_from_ct") for v in line.real} - {None}
        row = [line.id, line.patient, line.split, line.group, line.status, line.reason, line.ct,
               *shown, " ".join(map(str, sorted(days))), "; ".join(line.notes)]  # fmt: skip
        writer.writerow(_no_formula(str(cell)) for cell in row)
    return out.getvalue()


def _no_formula(text: str) -> str:
    """Spreadsheets compute what begins like a formula; ids and descriptions come from outside."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") and not text[1:2].isdigit() else text


def _write_if_new(path: Path, text: str) -> None:
    try:
        if path.read_text(encoding="utf-8") == text:
            return
    except (OSError, ValueError):
        pass
    write_text(path, text)
