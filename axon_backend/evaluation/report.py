"""`report.html`: one reconstruction in words, numbers and pictures, in a single file.

Nothing is loaded from elsewhere: pictures are inside as base64, and a content security policy
forbids the rest. All text from files and users is escaped.
"""

from __future__ import annotations

import base64
import io
import math
import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from axon_backend import DISCLAIMER
from axon_backend.errors import AxonInputError
from axon_backend.evaluation.report_style import page
from axon_backend.imaging.write import write_text
from axon_backend.methods import registry
from axon_backend.metrics import registered_metrics

VIEW_WORDS = {
    "pa": "frontal, PA (beam from back to front)",
    "ap": "frontal, AP (beam from front to back)",
    "ll": "left lateral",
    "rl": "right lateral",
}
BASELINE = {"atlas_mean": "atlas (mean of the training volumes)"}
VERDICT_NOTES = {
    "good": "the X-ray and the reference agree",
    "fair": "usable; look at the overlay",
    "poor": "do not trust the volume; the X-ray may not be in its place",
    "rendered in place": "a picture rendered from the CT; nothing to register",
}
_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}

Picture = bytes | np.ndarray


def write_report(
    path: str | os.PathLike[str], result: Mapping[str, Any], pictures: Mapping[str, Picture]
) -> Path:
    """Write the report of one reconstruction, whole or not at all.

    Args:
        path: the `.html` file.
        result: the content of `result.json`; keys that are missing are left out of the report.
        pictures: caption -> picture: PNG or JPEG bytes, or an array `[row, col]` or
            `[row, col, 3]` (uint8, or float 0 to 1). `overview` stands first; pictures whose name
            starts with `registration` or `overlay` stand with the registration; others at the end.

    Raises:
        AxonInputError: a picture is not of these kinds, or the file cannot be written.
    """
    return write_text(path, report_html(result, pictures))


def report_html(result: Mapping[str, Any], pictures: Mapping[str, Picture]) -> str:
    """The report as HTML5; arguments as for `write_report`."""
    with_registration = {k: v for k, v in pictures.items() if _of_registration(k)}
    others = {k: v for k, v in pictures.items() if k != "overview" and k not in with_registration}
    overview = {k: v for k, v in pictures.items() if k == "overview"}
    disclaimer = str(result.get("disclaimer") or DISCLAIMER).rstrip(".")
    sections = (
        ("Warnings", _list(result.get("warnings"), "warnings")),
        ("Overview", _figures(overview)),
        ("Against the true CT", _metrics(result.get("metrics"), result.get("atlas_mean"))),
        ("Inputs, and what was assumed about them", _inputs(result.get("inputs"))),
        ("Registration", _registration(result.get("registration")) + _figures(with_registration)),
        ("Run", _run(result)),
        ("Pictures", _figures(others)),
    )
    return page(
        "AXON reconstruction report",
        "CT volume reconstructed from chest X-rays",
        sections,
        f"{disclaimer}. The volume is an estimate by a neural network, not a measurement:\n"
        "structures may be missing, moved or invented.",
        date=str(result.get("created") or ""),
    )


def _of_registration(name: str) -> bool:
    return name.startswith(("registration", "overlay"))


def _inputs(inputs: Sequence[Mapping[str, Any]] | None) -> str:
    blocks = []
    for entry in inputs or ():
        role = str(entry.get("role") or "input")
        title = "CT (ground truth)" if role == "ct" else role.capitalize()
        facts = [("File", _code(entry.get("path")))]
        if entry.get("view"):
            facts.append(("View", escape(VIEW_WORDS.get(str(entry["view"]), str(entry["view"])))))
        if "pixel_mm" in entry:
            facts.append(("Pixel size", _pixel_size(entry["pixel_mm"])))
        assumed = _list(entry.get("assumptions")) or "<p>Nothing had to be assumed.</p>"
        blocks.append(f"<h3>{escape(title)}</h3>\n{_facts(facts)}\n{assumed}")
    return "\n".join(blocks)


def _pixel_size(pixel_mm: Any) -> str:
    if not pixel_mm:
        return "unknown"
    values = pixel_mm if isinstance(pixel_mm, (list, tuple)) else (pixel_mm,)
    return " × ".join(_number(v) for v in values) + " mm (row × column, in the patient)"


def _registration(entries: Sequence[Mapping[str, Any]] | None) -> str:
    if not entries:
        return ""
    rows, warnings = [], []
    for entry in entries:
        view = str(entry.get("view", ""))
        verdict = str(entry.get("verdict") or "not judged")
        note = VERDICT_NOTES.get(verdict, "")
        css = verdict if verdict in ("good", "fair", "poor") else "plain"
        badge = f'<span class="badge {css}">{escape(verdict)}</span> {escape(note)}'
        scores = (_number(entry.get(k)) for k in ("ncc", "gradient_ncc", "mutual_information"))
        rows.append((escape(VIEW_WORDS.get(view, view)), badge, *scores))
        warnings += [f"{VIEW_WORDS.get(view, view)}: {w}" for w in entry.get("warnings") or ()]
    headings = ("view", "verdict", "NCC", "gradient NCC", "mutual information (nats)")
    return (
        _table(headings, rows, words=2)
        + "\n<p>NCC: normalised cross-correlation of the X-ray with the reference, 1 = equal.</p>"
        + _list(warnings, "warnings")
    )


def _run(result: Mapping[str, Any]) -> str:
    bundle = result.get("bundle") or {}
    facts = []
    if bundle:
        named = f"{bundle.get('name', 'unnamed')} {bundle.get('version', '')}".strip()
        facts.append(("Bundle (weights)", escape(named)))
        facts.append(("SHA-256 of the bundle", _code(bundle.get("sha256"))))
    for label, key in (("Device", "device"), ("Seed", "seed"), ("Samples", "samples")):
        if result.get(key) is not None:
            facts.append((label, escape(str(result[key]))))
    if window := result.get("hu_window"):
        facts.append(("HU window", " to ".join(_number(v) for v in window)))
    for role, agreement in (result.get("reprojection") or {}).items():
        facts.append(
            (f"Result re-projected against the {escape(role)} X-ray (NCC)", _number(agreement))
        )
    facts += [(escape(str(k)), escape(str(v))) for k, v in (result.get("software") or {}).items()]
    stages = [
        (
            _stage(s.get("name") or "unnamed"),
            "" if s.get("steps") is None else escape(steps_in_words(s)),
            _number(s.get("seconds")),
        )
        for s in result.get("stages") or ()
    ]
    table = _table(("stage", "steps", "seconds"), stages) if stages else ""
    if any("run)" in steps for _, steps, _ in stages):
        words = "More steps are run than asked for where a volume is the mean of several runs."
        table += f"<p>{words}</p>"
    return (_facts(facts) if facts else "") + table


def steps_in_words(stage: Mapping[str, Any]) -> str:
    """Of a stage of ``result.json``: "10", or "1 (4 run)" where the volume is a mean of runs."""
    run = stage.get("steps_run")
    more = f" ({run} run)" if run not in (None, stage["steps"]) else ""
    return f"{stage['steps']}{more}"


def stage_text(name: str) -> str:
    """What comes out of a stage, in words; its name where no method here knows it."""
    for info in registry.available().values():
        if name in info.stage_names:
            return info.stage(name).description or info.stage(name).label
    return BASELINE.get(name, name)


def _stage(name: Any) -> str:
    return escape(stage_text(str(name)))


def _metrics(
    metrics: Mapping[str, Mapping[str, Any]] | None, atlas: Mapping[str, Any] | None
) -> str:
    if not metrics:
        return ""
    if atlas:
        metrics = {"atlas_mean": atlas, **metrics}
    present = {name for values in metrics.values() for name in values}
    known = registered_metrics()
    names = [n for n in known if n in present]
    names += sorted(present.difference(known))
    stages = list(metrics)
    # Metrics run down the page: eleven columns would leave the paper.
    rows = [
        (f"<code>{escape(name)}</code>", *(_number(metrics[s].get(name)) for s in stages))
        for name in names
    ]
    notes = "".join(
        f"<dt><code>{n}</code></dt><dd>{escape(known[n].note)}</dd>" for n in names if n in known
    )
    headings = ("metric", *(stage_text(s) for s in stages))
    return (
        _table(headings, rows)
        + "\n<p>On [0, 1] after the HU window, data range 1; each stage at its own resolution.</p>"
        + f'\n<dl class="notes">{notes}</dl>'
    )


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    """Label and HTML pairs; both already escaped."""
    return "<dl>" + "".join(f"<dt>{k}</dt><dd>{v}</dd>" for k, v in facts) + "</dl>"


def _list(sentences: Sequence[Any] | None, css: str = "") -> str:
    if not sentences:
        return ""
    items = "".join(f"<li>{escape(str(s))}</li>" for s in sentences)
    return f'<ul class="{css}">{items}</ul>' if css else f"<ul>{items}</ul>"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> str:
    """Headings are escaped here, cells are HTML already; the first `words` columns are text."""

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f"<{tag}>{cell}</{tag}>" if i < words else f'<{tag} class="number">{cell}</{tag}>'
            for i, cell in enumerate(row)
        )

    body = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    head = cells("th", [escape(h) for h in headings])
    return (
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _code(value: Any) -> str:
    return f"<code>{escape(str(value))}</code>" if value else "not recorded"


def _number(value: Any) -> str:
    """Four significant digits; a dash for what is missing, null or not a number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        return "–" if value is None else escape(str(value))
    if isinstance(value, int):
        return str(value)
    return f"{value:.4g}" if math.isfinite(value) else "–"


def _figures(pictures: Mapping[str, Picture]) -> str:
    return "\n".join(_figure(name, picture) for name, picture in pictures.items())


def _figure(name: str, picture: Picture) -> str:
    caption = escape(name.replace("_", " ").capitalize(), quote=True)
    kind, data = _encoded(name, picture)
    source = f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
    return (
        f'<figure><img src="{source}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
    )


def _encoded(name: str, picture: Picture) -> tuple[str, bytes]:
    """Media type and file content."""
    if isinstance(picture, (bytes, bytearray)):
        for signature, kind in _SIGNATURES.items():
            if picture.startswith(signature):
                return kind, bytes(picture)
        raise AxonInputError(f"The picture {name!r} is neither PNG nor JPEG; give one of these.")
    from PIL import Image

    pixels = np.asarray(picture)
    if pixels.ndim != 2 and not (pixels.ndim == 3 and pixels.shape[2] in (3, 4)):
        raise AxonInputError(
            f"The picture {name!r} has shape {pixels.shape}; expected [row, col] or [row, col, 3]."
        )
    if pixels.dtype != np.uint8:
        pixels = np.rint(np.clip(np.nan_to_num(pixels.astype(np.float32)), 0, 1) * 255)
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels.astype(np.uint8))).save(file, "PNG")
    return "image/png", file.getvalue()
