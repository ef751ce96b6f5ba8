"""Write dataset.json and the reports from the case records, the splits and the review."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from axon_backend import DISCLAIMER, __version__
from axon_backend.dataset.dataset import FILE, FORMAT, VERSION
from axon_backend.dataset.plan import CasePlan, scrubbed
from axon_backend.dataset.report import Line, report_html
from axon_backend.dataset.review import decided, read_review
from axon_backend.dataset.settings import GATES, PrepareSettings
from axon_backend.dataset.store import read_record
from axon_backend.errors import AxonInputError
from axon_backend.imaging.write import write_json, write_text
from axon_backend.util.plain_text import no_formula

PRIVACY = (
    "Of the source's DICOM tags this data set keeps: PatientID as the case's name, series numbers "
    "and descriptions, views, and the days between CT and X-ray. With --anonymise patients are "
    "numbered, and names of files and series are left out. Names, dates of birth and other tags "
    "are never written. The folder `private` lists the files of the source: leave it out when you "
    "share the data."
)
OUTLINE = "private/outline.json"
CSV_COLUMNS = ("id", "patient", "split", "group", "status", "reason", "ct", "frontal", "lateral",
               "days", "notes")  # fmt: skip


def outline(
    plans: list[CasePlan],
    current: Collection[str],
    failed: Mapping[str, str],
    splits: Mapping[str, str],
    settings: PrepareSettings,
) -> list[dict[str, Any]]:
    """The entries of the reports that are not in the records of the cases, as JSON values.

    Args:
        plans: all cases in their order.
        current: ids of the cases whose record belongs to this source and these settings.
        failed: by id, why a case failed in a way that another run may fix.
        splits: by patient.
        settings: of the run.
    """

    def shown(text: str, plan: CasePlan) -> str:
        return scrubbed(text, plan.private) if settings.anonymise else text

    rows = []
    for plan in plans:
        status, reason = "", ""
        if plan.problem:
            status, reason = "skipped", shown(plan.problem, plan)
        elif plan.id in failed:
            status, reason = "failed", failed[plan.id]
        elif plan.id not in current:
            status, reason = "waiting", "not processed yet; run the same command again"
        rows.append({
            "id": plan.id, "patient": plan.patient, "split": splits.get(plan.patient, "train"),
            "ct": shown(plan.ct_words, plan), "notes": [shown(n, plan) for n in plan.notes],
            "status": status, "reason": reason,
        })  # fmt: skip
    return rows


def remember(root: Path, rows: list[dict[str, Any]], remarks: list[str], values: Any) -> None:
    """Store the other inputs of :func:`assemble`, so that a review does not need the source."""
    path = root / OUTLINE
    text = json.dumps({"settings": values, "remarks": remarks, "cases": rows}, indent=1)
    _write_if_new(path, text)


def assemble_again(root: Path) -> list[Line]:
    """Assemble a data set as the last run did, with the current review.

    Raises:
        AxonInputError: there is no completely prepared data set.
    """
    try:
        stored = json.loads((root / OUTLINE).read_text(encoding="utf-8"))
        settings = PrepareSettings.from_dict(stored["settings"])
        return assemble(root, stored["cases"], settings, stored["remarks"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, AxonInputError):
            raise
        raise AxonInputError(
            f"{root} does not contain a completely prepared data set. Run `axon prepare` with the "
            "source first."
        ) from error


def assemble(
    root: Path, rows: list[dict[str, Any]], settings: PrepareSettings, remarks: list[str]
) -> list[Line]:
    """Write dataset.json, report.csv and report.html; unchanged files are not rewritten.

    Args:
        root: the data set's folder.
        rows: see :func:`outline`.
        settings: of the run.
        remarks: notes on the source as a whole.

    Returns:
        The lines of the report.
    """
    review = read_review(root)
    lines = [_line(root, row, settings, review) for row in rows]
    entries = [line.entry for line in lines if line.entry is not None and line.status == "done"]
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
    root: Path,
    row: dict[str, Any],
    settings: PrepareSettings,
    review: dict[str, dict[str, str]],
) -> Line:
    case = row["id"]
    line = Line(case, row["patient"], row["split"], "", ct=row["ct"], notes=list(row["notes"]))
    record = None if row["status"] else read_record(root, case)
    if record is None:
        reason = row["reason"] or "its files are damaged; run the same command again"
        return line.with_status(row["status"] or "waiting", reason)
    line.notes += record["notes"]
    if record["status"] != "done":
        return line.with_status("skipped", record["reason"])
    views = [_view(case, v, settings, review) for v in record["views"]]
    roles = {v["role"] for v in views if v["kind"] == "real" and v["accepted"]}
    line.group = "biplanar" if len(roles) == 2 else "paired" if "frontal" in roles else "drr"
    line.entry = {
        "id": case, "patient": line.patient, "split": line.split, "group": line.group,
        "ct": f"cases/{case}/ct.nii.gz", "frame": record["frame"], "sha256": record["sha256"],
        "pose": record["pose"], "views": views,
        "reconstructed": record.get("reconstructed", False),
    }  # fmt: skip
    if decided(review, f"{case}/ct", record["sha256"][:16]) == "reject":
        return line.with_status("rejected", "excluded in the review (review.json)")
    return line.with_status("done", "")


def _view(
    case: str,
    view: dict[str, Any],
    settings: PrepareSettings,
    review: dict[str, dict[str, str]],
) -> dict[str, Any]:
    """A view with the decision of the reviewer or, without one, of the quality gate."""
    view = {**view, "file": f"cases/{case}/{view['file']}"}
    if view["kind"] != "real":
        return {**view, "accepted": True}
    decision = decided(review, f"{case}/{view['role']}", view["sha256"][:16])
    if decision is not None:
        return {**view, "accepted": decision == "accept", "decided": "a person"}
    verdicts = ("poor", *GATES)
    quality = view["quality"]
    passed = verdicts.index(quality["verdict"]) >= verdicts.index(settings.gate)
    # An X-ray that may be rotated or mirrored is left to the review.
    turned = any(w.endswith("check its orientation") for w in quality["warnings"])
    return {**view, "accepted": passed and not turned, "decided": "the quality gate"}


def _write_dataset(path: Path, values: dict[str, Any]) -> None:
    """Write dataset.json, unless only its date would change."""
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
        writer.writerow(no_formula(cell) for cell in row)
    return out.getvalue()


def _write_if_new(path: Path, text: str) -> None:
    try:
        if path.read_text(encoding="utf-8") == text:
            return
    except (OSError, ValueError):
        pass
    write_text(path, text)
