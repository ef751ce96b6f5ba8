"""The output files of ``axon evaluate``: metrics, comparison, figures, page."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from axon_backend import DISCLAIMER
from axon_backend.evaluation.comparison import compare
from axon_backend.evaluation.evaluate import EvaluationResult
from axon_backend.evaluation.figures import WIDE, FlatImage, VolumeRow, overview
from axon_backend.evaluation.html import render_page
from axon_backend.evaluation.render3d import render3d
from axon_backend.evaluation.report import embedded
from axon_backend.evaluation.tables import (
    Cell,
    Section,
    Table,
    comparison_sections,
    headline,
    latex,
    markdown,
    paper_table,
    write_comparison_csv,
    write_metrics_csv,
)
from axon_backend.imaging.write import write_png, write_text
from axon_backend.util.plain_text import no_formula

FIGURES = "figures"
#: Name of the files of the comparison; a table of the paper has its own.
COMPARISON = "comparison"


@dataclass(frozen=True)
class PaperTable:
    """Inputs and rows of a table of the AXON paper; the bundles are chosen by the user.

    Attributes:
        caption: caption of the table.
        views: 1, 2 or both.
        split: split to evaluate, if the manifest has splits.
        finest: also include volumes on finer grids than the common one.
    """

    caption: str
    views: tuple[int, ...]
    split: str = "test"
    finest: bool = False


#: By name, as in the paper (arXiv:2603.26509).
PAPER_TABLES = {
    "table1": PaperTable("Table 1: methods from one view", (1,)),
    "table2": PaperTable("Table 2: one view and two", (1, 2)),
    "table3": PaperTable("Table 3: super-resolution", (1, 2), finest=True),
    "table4": PaperTable("Table 4: ablations, on the validation split", (1,), "validation"),
}
PAPER_COLUMNS = ("mae", "mse", "psnr", "ssim3d_gauss11")


def evaluation_files(*tables: str | None) -> tuple[str, ...]:
    """All names that :func:`write_evaluation` may write for some tables: names of
    :data:`PAPER_TABLES`, or None for the comparison; by default for all of them."""
    stems = [table or COMPARISON for table in tables or (None, *PAPER_TABLES)]
    return (
        "metrics.csv",
        "failures.csv",
        FIGURES,
        *(f"{stem}.{ending}" for stem in stems for ending in ("csv", "md", "tex", "html")),
    )


def write_evaluation(
    folder: Path, result: EvaluationResult, *, table: str | None = None, command: str = ""
) -> str:
    """Write ``metrics.csv`` (all rows), the comparison (or a table of the paper) as CSV, Markdown,
    LaTeX and HTML, ``figures/`` and, if cases failed, ``failures.csv``.

    Args:
        folder: an existing folder.
        result: result of ``evaluate_cases``.
        table: a name of :data:`PAPER_TABLES`; None: compare everything.
        command: the command that was run, shown in the files.

    Returns:
        The main table of each group in Markdown, for the terminal.

    Raises:
        AxonInputError: a file cannot be written.
    """
    write_metrics_csv(folder / "metrics.csv", result.rows)
    reference = str(result.bundles[0]["bundle"])
    groups = compare(result.rows, reference)
    stem = table or COMPARISON
    write_comparison_csv(folder / f"{stem}.csv", groups)
    if table is None:
        title = "Evaluation"
        sections = comparison_sections(groups)
    else:
        chosen = PAPER_TABLES[table]
        title = chosen.caption
        sections = [paper_table(title, groups, PAPER_COLUMNS, finest=chosen.finest)]
    sections.append(_bundles(result.bundles))
    settings = dict(result.settings)
    if command:
        settings["command"] = command
    about = [
        Section("Settings", sentences=tuple(f"{k}: {v}" for k, v in settings.items())),
        Section(
            f"Inputs: {len(result.inputs)} measured, {len(result.failures)} failed",
            sentences=tuple(f"{k}: {v}" for k, v in result.inputs.items()),
        ),
    ]
    if result.failures:
        text = io.StringIO()
        rows = [("id", "reason"), *result.failures]
        csv.writer(text, lineterminator="\n").writerows([map(no_formula, row) for row in rows])
        write_text(folder / "failures.csv", text.getvalue())
        about.append(Section("Failed", sentences=tuple(f"{k}: {v}" for k, v in result.failures)))
    write_text(folder / f"{stem}.md", markdown(title, [*sections, *about]))
    write_text(folder / f"{stem}.tex", latex(title, sections))
    images = comparison_figures(result, command)
    if images:
        (folder / FIGURES).mkdir(exist_ok=True)
    for name, image in images.items():
        write_png(folder / FIGURES / f"{_file_name(name)}.png", image)
    page = render_page(
        "comparison.html",
        title=title,
        disclaimer=DISCLAIMER,
        sections=[*sections, *about],
        figures=embedded(images),
    )
    write_text(folder / f"{stem}.html", page)
    failed = [f"Failed: {name}: {reason}" for name, reason in result.failures]
    return markdown(title, headline(groups) if table is None else sections, failed)


def _bundles(bundles: Sequence[dict[str, Any]]) -> Section:
    """Sizes of the networks, and their training according to the metadata."""

    def shown(value: Any, digits: int = 0) -> str:
        return "not recorded" if value is None else f"{value:,.{digits}f}"

    rows = tuple(
        (
            Cell(f"{about['bundle']} ({about['method']})"),
            Cell(shown(about["parameters"])),
            Cell(shown(about["minutes"], 0 if (about["minutes"] or 0) >= 10 else 1)),
            Cell(shown(about["samples"])),
        )
        for about in bundles
    )
    headings = ("bundle", "parameters", "training (minutes)", "samples seen")
    return Section(
        "Bundles",
        (Table(headings, rows, "Bundles"),),
        ("Training time and samples: of all trainings of a bundle, up to its best checkpoints.",),
    )


def comparison_figures(result: EvaluationResult, command: str = "") -> dict[str, np.ndarray]:
    """Figures by name: for each case and number of views, the volumes of all bundles one below the
    other (axial, coronal and sagittal slices, 3-D, difference from the CT), like Figure 4 of the
    paper; for each stochastic bundle also several samples, like its Figure A.4."""
    footer = "  |  ".join(part for part in (DISCLAIMER, command) if part)
    images: dict[str, np.ndarray] = {}
    cases = list(dict.fromkeys(key[:2] for key in result.shown))
    for case, views in cases:
        of_case = {k[2]: v for k, v in result.shown.items() if k[:2] == (case, views)}
        rows, truths = [], {}
        for label, arrays in of_case.items():
            for name, volume in arrays.items():
                if name.startswith("volume_"):
                    stage = name.removeprefix("volume_")
                    rows.append(_row(f"{label}, {stage}", volume, arrays, render=True))
                if name.startswith("truth_"):
                    truths[name] = volume
        first = next(iter(of_case.values()))
        finest = max(truths.values(), key=len)
        truth = VolumeRow("CT", finest.astype(np.float32), _spacing(first, len(finest)), [
            render3d(finest.astype(np.float32), _spacing(first, len(finest)), "lung")
        ])  # fmt: skip
        name = f"{case}, {views} view{'s' if views > 1 else ''}"
        images[name] = overview(_inputs(first), [*rows, truth], footer, (WIDE,))
        for label, arrays in of_case.items():
            if "samples" in arrays:
                drawn = [
                    _row(f"{label}, sample {k + 1}", volume, arrays)
                    for k, volume in enumerate(arrays["samples"])
                ]
                images[f"{name}, samples of {label}"] = overview([], drawn, footer, (WIDE,))
    return images


def _spacing(arrays: dict[str, np.ndarray], n: int) -> tuple[float, float, float]:
    x, y, z = (float(size) / n for size in arrays["size_mm"])
    return x, y, z


def _row(
    title: str, volume: np.ndarray, arrays: dict[str, np.ndarray], *, render: bool = False
) -> VolumeRow:
    hu, spacing = volume.astype(np.float32), _spacing(arrays, len(volume))
    truth = arrays[f"truth_{len(volume)}"].astype(np.float32)
    drawn = [render3d(hu, spacing, "lung")] if render else []
    return VolumeRow(title, hu, spacing, drawn, truth)


def _inputs(arrays: dict[str, np.ndarray]) -> list[FlatImage]:
    x, y, z = arrays["size_mm"]
    return [
        FlatImage(
            f"{role.capitalize()} view", arrays[f"view_{role}"], role == "frontal", (z, width)
        )
        for role, width in (("frontal", x), ("lateral", y))
        if f"view_{role}" in arrays
    ]


def _file_name(text: str) -> str:
    """Text reduced to letters, digits and hyphens, since ids may contain anything."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-").lower()[:100] or "figure"
