"""`report.html` of a data set: every case with its fate, every registration to look at.

One file that loads nothing from elsewhere. A page cannot write files, so accepting and rejecting
makes a review.json to save beside it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from axon_backend import DISCLAIMER
from axon_backend.dataset.report_page import BAR, SCRIPT, STYLE
from axon_backend.dataset.settings import PrepareSettings
from axon_backend.evaluation.report_style import page

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
        id, patient, split, group: as in dataset.json; no group where there is no case.
        status: "done", "skipped" (its input cannot be used), "failed" (something else went
            wrong), "rejected" (by a person) or "waiting" (not reached).
        reason: in plain words, unless done.
        ct: which CT and why.
        notes: in plain words.
        entry: of dataset.json.
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
        """The line itself, with its fate."""
        self.status, self.reason = status, reason
        return self

    @property
    def real(self) -> list[dict[str, Any]]:
        """Its real X-rays."""
        return [] if self.entry is None else [v for v in self.entry["views"] if v["kind"] == "real"]


def report_html(
    root: Path,
    lines: list[Line],
    remarks: list[str],
    settings: PrepareSettings,
    review: dict[str, dict[str, str]],
) -> str:
    """The page as HTML5; pictures are read from the cases' folders. ``review`` is what was decided
    so far: the page's own file repeats it."""
    with_xrays = [line for line in lines if line.real]
    with_xrays.sort(key=lambda line: (min(_score(v) for v in line.real), line.id))
    others = [line for line in lines if line.entry is not None and not line.real]
    bad = [line for line in lines if line.status not in ("done", "rejected")]
    sections = [
        ("What is in it", _counts(lines) + _list(remarks)),
        (f"Left out ({len(bad)})", _bad(bad)),
        (
            f"X-rays to look at ({sum(len(line.real) for line in with_xrays)})",
            _how_to() + "\n".join(_card(root, line) for line in with_xrays),
        ),
        (f"Cases without X-rays ({len(others)})", _grid(root, others)),
        ("Settings", _settings(settings)),
    ]
    script = SCRIPT.replace("DATA_SET_NAME", json.dumps(_name(lines)))
    script = script.replace("EARLIER", json.dumps(review).replace("<", "\\u003c"))
    return page(
        "AXON data set",
        "Prepared data set",
        [(title, content) for title, content in sections if not title.endswith("(0)")],
        f"{DISCLAIMER}.",
        style=STYLE,
        tools=BAR,
        script=script,
    )


def _counts(lines: list[Line]) -> str:
    done = [line for line in lines if line.status == "done"]
    count = Counter((line.split, line.group) for line in done)
    head = "".join(f"<th>{escape(GROUP_WORDS[g])}</th>" for g in GROUPS)
    rows = []
    for split in SPLITS:
        cells = "".join(f'<td class="number">{count[split, g]}</td>' for g in GROUPS)
        total = sum(count[split, g] for g in GROUPS)
        rows.append(f'<tr><td>{split}</td>{cells}<td class="number">{total}</td></tr>')
    fates = Counter(line.status for line in lines)
    words = ", ".join(f"{n} {fate}" for fate, n in sorted(fates.items()))
    return (
        f"<p>{len(lines)} cases: {words}.</p>\n<div class=wide><table><tr><th>split</th>{head}"
        f"<th>all</th></tr>{''.join(rows)}</table></div>"
    )


def _bad(lines: list[Line]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(line.id)}</code></td><td>{escape(line.status)}</td>"
        f"<td>{escape(line.reason)}{_list(line.notes)}</td></tr>"
        for line in lines
    )
    return (
        f"<div class=wide><table><tr><th>case</th><th>fate</th><th>why</th></tr>{rows}"
        "</table></div>"
    )


def _how_to() -> str:
    return (
        "<p>The doubtful ones stand first. Left the X-ray, in the middle the DRR of the same "
        "patient's CT, right one over the other: grey where they agree, cyan where only the X-ray "
        "is dense, red where only the DRR is. Ribs, diaphragm and heart must lie on each other. "
        "Change a verdict where you see it differently, save <code>review.json</code> into the "
        "data set's folder, and run <code>axon prepare</code> again; or use <code>axon prepare "
        "--output DATA --accept ID --reject ID</code>.</p>"
    )


def _card(root: Path, line: Line) -> str:
    parts = []
    for view in line.real:
        quality, name = view["quality"], f"{line.id}/{view['role']}"
        verdict = escape(quality["verdict"])
        days = quality.get("days_from_ct")
        apart = "" if days is None else f", {abs(days)} days from the CT"
        state = "accept" if view["accepted"] else "reject"
        boxes = "".join(
            f'<label><input type="radio" name="{escape(name)}" value="{choice}" '
            f'data-picture="{view["sha256"][:16]}" data-was="{state}"'
            f"{' checked' if choice == state else ''}>{choice}</label>"
            for choice in ("accept", "reject")
        )
        warnings = "".join(f"<li>{escape(w)}</li>" for w in quality["warnings"])
        parts.append(
            f"<figure>{_picture(root, line.id, view['role'] + '.jpg', name)}<figcaption>"
            f'{escape(view["role"])} {escape(view["view"])} <span class="badge {verdict}">'
            f"{verdict}</span> NCC {quality['ncc']:.2f}, of gradients "
            f"{quality['gradient_ncc']:.2f}{apart}; {escape(view['source'])}. "
            f"<span class=choice>{boxes}</span> <small>(now by {escape(view['decided'])})</small>"
            f"{f'<ul class=warnings>{warnings}</ul>' if warnings else ''}"
            f"{_list(view['notes'])}</figcaption></figure>"
        )
    return (
        f'<article id="{escape(line.id)}"><h3>{escape(line.id)} <small>{line.split}</small></h3>'
        f"<p class=notes>CT: {escape(line.ct)}</p>{_list(line.notes)}{''.join(parts)}</article>"
    )


def _grid(root: Path, lines: list[Line]) -> str:
    cells = []
    for line in lines:
        fate = "" if line.status == "done" else f" ({escape(line.reason)})"
        picture = _picture(root, line.id, "case.jpg", f"{line.id}: DRRs and planes of the CT")
        cells.append(
            f"<figure>{picture}<figcaption><code>{escape(line.id)}</code> {line.split}{fate}"
            f"{_list(line.notes)}</figcaption></figure>"
        )
    return f"<div class=grid>{''.join(cells)}</div>"


def _picture(root: Path, case: str, name: str, words: str) -> str:
    try:
        data = base64.b64encode((root / "cases" / case / name).read_bytes()).decode()
    except OSError:
        return "<p>(the picture is missing)</p>"
    return f'<img loading="lazy" alt="{escape(words)}" src="data:image/jpeg;base64,{data}">'


def _settings(settings: PrepareSettings) -> str:
    facts = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>"
        for name, value in settings.as_dict().items()
    )
    return f"<dl>{facts}</dl>"


def _list(texts: list[str]) -> str:
    if not texts:
        return ""
    return f"<ul class=notes>{''.join(f'<li>{escape(t)}</li>' for t in texts)}</ul>"


def _score(view: dict[str, Any]) -> float:
    turned = bool(view["quality"]["warnings"])
    return 0.5 * (view["quality"]["ncc"] + view["quality"]["gradient_ncc"]) - turned


def _name(lines: list[Line]) -> str:
    """Tells this data set from others in a browser's memory."""
    return hashlib.sha256("|".join(line.id for line in lines).encode()).hexdigest()[:12]
