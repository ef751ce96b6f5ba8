"""`report.html`: one reconstruction in words, numbers and images, in a single file."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from axon_backend import DISCLAIMER
from axon_backend.errors import AxonInputError
from axon_backend.evaluation.html import data_uri, number, render_page
from axon_backend.imaging.write import PNG_LEVEL, write_text
from axon_backend.methods import registry
from axon_backend.metrics import registered_metrics

VIEW_TEXTS = {
    "pa": "frontal, PA (beam from back to front)",
    "ap": "frontal, AP (beam from front to back)",
    "ll": "left lateral",
    "rl": "right lateral",
}
BASELINE = {"atlas_mean": "atlas (mean of the training volumes)"}
VERDICT_NOTES = {
    "good": "the X-ray and the reference agree",
    "fair": "usable; check the overlay",
    "poor": "do not trust the volume; the X-ray may be misaligned",
    "rendered in place": "a DRR rendered from the CT; nothing to register",
}
_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}

Image = bytes | np.ndarray


def write_report(
    path: str | os.PathLike[str], result: Mapping[str, Any], images: Mapping[str, Image]
) -> Path:
    """Write the report of one reconstruction, whole or not at all.

    Args:
        path: the `.html` file.
        result: the content of `result.json`; missing keys are left out of the report.
        images: caption -> image: PNG or JPEG bytes, or an array `[row, col]` or `[row, col, 3]`
            (uint8, or float 0 to 1). `overview` comes first; images whose name starts with
            `registration` or `overlay` are shown with the registration, others at the end.

    Raises:
        AxonInputError: an image is not of these kinds, or the file cannot be written.
    """
    return write_text(path, report_html(result, images))


def report_html(result: Mapping[str, Any], images: Mapping[str, Image]) -> str:
    """The report as HTML5; arguments as for `write_report`."""
    overlays = [name for name in images if name.startswith(("registration", "overlay"))]
    others = [name for name in images if name != "overview" and name not in overlays]
    registration = [describe_registration(entry) for entry in result.get("registration") or ()]
    stages = [_stage(stage) for stage in result.get("stages") or ()]
    return render_page(
        "report.html",
        result={"warnings": result.get("warnings"), "created": result.get("created")},
        disclaimer=str(result.get("disclaimer") or DISCLAIMER).rstrip("."),
        overview=embedded({k: v for k, v in images.items() if k == "overview"}),
        metrics=_metrics(result.get("metrics"), result.get("atlas_mean")),
        inputs=[describe_input(entry) for entry in result.get("inputs") or ()],
        registration=registration,
        registration_warnings=[w for entry in registration for w in entry["warnings"]],
        overlays=embedded({name: images[name] for name in overlays}),
        facts=_facts(result),
        stages=stages,
        more_steps_run=any(stage["more"] for stage in stages),
        images=embedded({name: images[name] for name in others}),
    )


def describe_input(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of ``inputs`` in ``result.json``, in words: title, path, view, pixel_size,
    assumptions."""
    role = str(entry.get("role") or "input")
    view = str(entry.get("view") or "")
    return {
        "title": "CT (ground truth)" if role == "ct" else role.capitalize(),
        "path": entry.get("path"),
        "view": VIEW_TEXTS.get(view, view),
        "pixel_size": _pixel_size(entry["pixel_mm"]) if "pixel_mm" in entry else "",
        "assumptions": entry.get("assumptions"),
    }


def _pixel_size(pixel_mm: Any) -> str:
    if not pixel_mm:
        return "unknown"
    values = pixel_mm if isinstance(pixel_mm, (list, tuple)) else (pixel_mm,)
    return " × ".join(number(v) for v in values) + " mm (row × column, in the patient)"


def describe_registration(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of ``registration``, in words: view, verdict with its note and style, scores,
    warnings."""
    view = VIEW_TEXTS.get(str(entry.get("view", "")), str(entry.get("view", "")))
    verdict = str(entry.get("verdict") or "not judged")
    return {
        "view": view,
        "verdict": verdict,
        "css": verdict if verdict in ("good", "fair", "poor") else "plain",
        "note": VERDICT_NOTES.get(verdict, ""),
        "scores": [entry.get(key) for key in ("ncc", "gradient_ncc", "mutual_information")],
        "warnings": [f"{view}: {warning}" for warning in entry.get("warnings") or ()],
    }


def _facts(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Facts about the run: name, value, and whether the value is shown as code."""
    facts: list[tuple[str, Any, bool]] = []
    if bundle := result.get("bundle"):
        named = f"{bundle.get('name', 'unnamed')} {bundle.get('version', '')}".strip()
        facts += [
            ("Bundle (weights)", named, False),
            ("SHA-256 of the bundle", bundle.get("sha256"), True),
        ]
    for label, key in (("Device", "device"), ("Seed", "seed"), ("Samples", "samples")):
        if result.get(key) is not None:
            facts.append((label, str(result[key]), False))
    if window := result.get("hu_window"):
        facts.append(("HU window", " to ".join(number(v) for v in window), False))
    for role, agreement in (result.get("reprojection") or {}).items():
        facts.append((f"Result re-projected against the {role} X-ray (NCC)", agreement, False))
    facts += [(str(k), str(v), False) for k, v in (result.get("software") or {}).items()]
    return [{"name": name, "value": value, "code": code} for name, value, code in facts]


def _stage(stage: Mapping[str, Any]) -> dict[str, Any]:
    steps = "" if stage.get("steps") is None else steps_text(stage)
    return {
        "name": stage_text(str(stage.get("name") or "unnamed")),
        "steps": steps,
        "seconds": stage.get("seconds"),
        "more": steps.endswith("run)"),
    }


def steps_text(stage: Mapping[str, Any]) -> str:
    """Steps of a stage of ``result.json``: "10", or "1 (4 run)" if the volume is a mean of runs."""
    run = stage.get("steps_run")
    actual = f" ({run} run)" if run not in (None, stage["steps"]) else ""
    return f"{stage['steps']}{actual}"


def stage_text(name: str) -> str:
    """Description of a stage's output, or its name if no installed method has it."""
    for info in registry.available().values():
        if name in info.stage_names:
            return info.stage(name).description or info.stage(name).label
    return BASELINE.get(name, name)


def _metrics(
    metrics: Mapping[str, Mapping[str, Any]] | None, atlas: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """Columns (the baseline, then the stages) and rows (the metrics) of the table of metrics."""
    if not metrics:
        return None
    if atlas:
        metrics = {"atlas_mean": atlas, **metrics}
    known = registered_metrics()
    present = {name for values in metrics.values() for name in values}
    names = [name for name in known if name in present] + sorted(present.difference(known))
    return {
        "columns": [stage_text(stage) for stage in metrics],
        "rows": [
            {
                "name": name,
                "cells": [values.get(name) for values in metrics.values()],
                "note": known[name].note if name in known else "",
            }
            for name in names
        ],
    }


def embedded(images: Mapping[str, Image]) -> list[dict[str, str]]:
    """Captions and data URIs of images, for the macro `figures`."""
    figures = []
    for name, image in images.items():
        kind, data = _encoded(name, image)
        source = data_uri(data, kind)
        figures.append({"caption": name.replace("_", " ").capitalize(), "source": source})
    return figures


def _encoded(name: str, image: Image) -> tuple[str, bytes]:
    """Media type and file content of an image."""
    if isinstance(image, (bytes, bytearray)):
        for signature, kind in _SIGNATURES.items():
            if image.startswith(signature):
                return kind, bytes(image)
        raise AxonInputError(f"The image {name!r} is neither PNG nor JPEG; give one of these.")
    from PIL import Image as PillowImage

    pixels = np.asarray(image)
    if pixels.ndim != 2 and not (pixels.ndim == 3 and pixels.shape[2] in (3, 4)):
        raise AxonInputError(
            f"The image {name!r} has shape {pixels.shape}; expected [row, col] or [row, col, 3]."
        )
    if pixels.dtype != np.uint8:
        pixels = np.rint(np.clip(np.nan_to_num(pixels.astype(np.float32)), 0, 1) * 255)
    file = io.BytesIO()
    drawn = PillowImage.fromarray(np.ascontiguousarray(pixels.astype(np.uint8)))
    drawn.save(file, "PNG", compress_level=PNG_LEVEL)
    return "image/png", file.getvalue()
