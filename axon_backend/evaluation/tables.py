"""The tables of an evaluation: all rows as CSV, and the comparison as CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axon_backend import DISCLAIMER
from axon_backend.evaluation.columns import TITLES, Column, columns
from axon_backend.evaluation.comparison import BASELINE, Group, Line
from axon_backend.evaluation.statistics import SMALLEST_N, Mean
from axon_backend.imaging.write import write_text
from axon_backend.util.plain_text import no_formula, no_markdown

KEYS = ("id", "patient", "bundle", "method", "stage", "views", "inputs", "estimate", "grid")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Cell:
    """Text of a cell, and whether it is the best of its column."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Table:
    """Headings and rows; the first column is text."""

    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """A heading with sentences and tables below it."""

    title: str
    tables: tuple[Table, ...] = ()
    sentences: tuple[str, ...] = ()


def write_metrics_csv(path: str | os.PathLike[str], rows: Iterable[Row]) -> Path:
    """Write one line per case, bundle, stage, number of views, estimate and grid.

    Args:
        path: the file.
        rows: each has the :data:`KEYS` (``stage`` is empty for the baseline, ``estimate`` for a
            deterministic method, ``grid`` is 0 for measurements of images) and any of
            ``columns.columns()``.

    Raises:
        ValueError: a row lacks a key, has a number of views other than 1 or 2, or occurs twice.
    """
    checked = _checked(rows)
    names = [name for name in columns() if any(name in row for row in checked)]
    return _write_csv(path, (*KEYS, *names), checked)


def write_comparison_csv(path: str | os.PathLike[str], groups: Sequence[Group]) -> Path:
    """Write one line per group, bundle and metric: mean, standard deviation and interval; mean and
    interval of the paired difference, with its adjusted p."""
    keys = ("inputs", "views", "grid", "bundle", "method", "stage", "estimate", "metric")
    parts = ("n", "mean", "std", "low", "high")
    of_difference = ("difference", "difference_low", "difference_high", "difference_n", "p_holm")
    rows = []
    for group in groups:
        for line in group.lines:
            for name in group.columns:
                value, difference = line.values[name], line.differences.get(name)
                if not value.n:
                    continue
                row: dict[str, Any] = dict(zip(keys, (
                    group.inputs, group.views, group.grid, line.bundle, line.method, line.stage,
                    line.estimate, name,
                ), strict=True))  # fmt: skip
                row |= dict(zip(parts, (
                    value.n, value.value, value.std, value.low, value.high,
                ), strict=True))  # fmt: skip
                if difference is not None and difference.n:
                    row |= dict(zip(of_difference, (
                        difference.value, difference.low, difference.high, difference.n,
                        line.p.get(name),
                    ), strict=True))  # fmt: skip
                rows.append(row)
    return _write_csv(path, (*keys, *parts, *of_difference), rows)


def comparison_sections(groups: Sequence[Group]) -> list[Section]:
    """The sections of the comparison: for each group, a table per kind of metric and one of the
    differences; then the definitions."""
    sections = [Section(group.title, tuple(_tables(group))) for group in groups]
    shown = [column for name, column in columns().items() if any(name in g.columns for g in groups)]
    sections.append(
        Section(
            "How to read the tables",
            sentences=(
                "Mean over patients, with the 95 % bootstrap interval in brackets (10,000 "
                "resamples of the patients), and n if some patients are missing. Differences are "
                "paired by patient. p: Wilcoxon's signed-rank test, adjusted by Holm's method for "
                f"the lines of a table; with fewer than {SMALLEST_N} patients no two-sided p can "
                "be below .05, so none is given.",
                "Values are on [0, 1] after the HU window, data range 1 (PSNR: dB).",
                "One sample is one seed; the mean of several samples is closer to the CT than any "
                "of them (for a perfect sampler of the posterior by up to 3 dB), but blurred. "
                "Compare a sample with a sample, and a mean with a mean or with a regression.",
                "atlas mean: the mean training volume of the first bundle, the same for every "
                "patient; a method is only useful if it is better.",
                *(f"{column.label} ({column.name}): {column.note}." for column in shown),
            ),
        )
    )
    return sections


def _tables(group: Group) -> Iterable[Table]:
    known = columns()
    for kind, title in TITLES.items():
        names = [name for name in group.columns if known[name].table == kind]
        # Not every line has every kind of metric: a deterministic method has no spread.
        lines = [line for line in group.lines if any(line.values[n].n for n in names)]
        if not names or not lines:
            continue
        headings = tuple(known[name].heading for name in names)
        best = {
            n: known[n].best([line.values[n].value for line in lines if line.values[n].n])
            for n in names
        }
        yield Table(
            ("bundle", *headings),
            tuple(
                (
                    Cell(line.title),
                    *(_value(line, n, known[n], group, best[n], len(lines)) for n in names),
                )
                for line in lines
            ),
            title,
        )
        compared = [line for line in lines if any(n in line.differences for n in names)]
        counts = {line.differences[n].n for line in compared for n in names} - {0}
        if counts:
            small = ""
            if max(counts) < SMALLEST_N:
                small = f"; n = {max(counts)}: too small for a test"
            elif min(counts) < SMALLEST_N:
                small = f"; without p where n is below {SMALLEST_N}"
            yield Table(
                ("bundle", *headings),
                tuple(
                    (Cell(line.title), *(_difference(line, n, known[n]) for n in names))
                    for line in compared
                ),
                f"{title}: difference from {group.reference}{small}",
            )


def paper_table(
    caption: str, groups: Sequence[Group], names: Sequence[str], *, finest: bool = False
) -> Section:
    """A table in the form of the paper: mean ± standard deviation, one line per bundle, stage and
    kind of input.

    Args:
        caption: caption of the table.
        groups: result of :func:`comparison.compare`.
        names: names of the columns.
        finest: also include volumes measured on a finer grid than the common one.
    """
    known = columns()
    coarsest = min((g.grid for g in groups if g.grid), default=0)
    rows = []
    for group in groups:
        if not group.grid or (group.grid > coarsest and not finest):
            continue
        for line in group.lines:
            if line.bundle == BASELINE and not line.stage:
                continue
            cells = [Cell(_mean_and_std(line.values[n], known[n])) for n in names]
            about = (line.title, group.inputs, f"{group.grid}³", str(group.patients))
            rows.append((*(Cell(text) for text in about), *cells))
    table = Table(
        ("method", "input", "voxels", "patients", *(known[n].heading for n in names)),
        tuple(rows),
        caption,
    )
    return Section(
        caption,
        (table,),
        (
            "Mean ± standard deviation over patients, as in the paper. The values are not "
            "comparable with the paper's: the volume is a box around the lungs, which contains "
            "less air than a whole scan, the HU window is that of the first bundle, and cases, "
            "X-rays and registration are different.",
        ),
    )


def headline(groups: Sequence[Group]) -> list[Section]:
    """Only the first table of each group, for the terminal."""
    return [Section(group.title, tuple(_tables(group))[:1]) for group in groups]


def markdown(title: str, sections: Sequence[Section], notes: Sequence[str] = ()) -> str:
    """The sections in Markdown; ``notes`` are paragraphs before the disclaimer."""
    parts = [f"# {no_markdown(title)}"]
    for section in sections:
        parts.append(f"## {no_markdown(section.title)}")
        for table in section.tables:
            if table.caption and table.caption != section.title:
                parts.append(f"### {no_markdown(table.caption)}")
            lines = [f"| {' | '.join(no_markdown(h) for h in table.headings)} |"]
            lines.append(f"| --- |{' ---: |' * (len(table.headings) - 1)}")
            for row in table.rows:
                cells = [f"**{no_markdown(c.text)}**" if c.best else no_markdown(c.text) or "-"
                         for c in row]  # fmt: skip
                lines.append(f"| {' | '.join(cells)} |")
            parts.append("\n".join(lines))
        if section.sentences:
            parts.append("\n".join(f"- {no_markdown(sentence)}" for sentence in section.sentences))
    return "\n\n".join([*parts, *notes, f"{DISCLAIMER}."]) + "\n"


def latex(title: str, sections: Sequence[Section]) -> str:
    """The tables in LaTeX, for ``\\input`` into a document that loads booktabs."""
    lines = [f"% {_one_line(title)}. {DISCLAIMER}.", r"% Needs \usepackage{booktabs}."]
    for section in sections:
        for table in section.tables:
            caption = table.caption
            if caption != section.title:
                caption = f"{section.title}. {caption}"
            lines += [
                r"\begin{table}", r"\centering",
                rf"\caption{{{latex_text(caption)}}}",
                rf"\begin{{tabular}}{{l{'r' * (len(table.headings) - 1)}}}",
                r"\toprule",
                " & ".join(latex_text(h) for h in table.headings) + r" \\",
                r"\midrule",
            ]  # fmt: skip
            for row in table.rows:
                cells = [
                    rf"\textbf{{{latex_text(c.text)}}}" if c.best else latex_text(c.text)
                    for c in row
                ]
                lines.append(" & ".join(cells) + r" \\")
            lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "±": r"$\pm$", "³": r"$^3$", "−": r"$-$",
    "–": "--", "|": r"\textbar{}", '"': r"\textquotedbl{}",
}  # fmt: skip


def latex_text(text: str) -> str:
    """Text on one line, with the special characters of LaTeX escaped."""
    return "".join(_LATEX.get(letter, letter) for letter in _one_line(text))


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", str(text)).strip()


def _value(
    line: Line, name: str, column: Column, group: Group, best: float | None, lines: int
) -> Cell:
    value = line.values[name]
    if not value.n:
        return Cell("-")
    text = f"{value.value:.{column.digits}f}"
    if value.n > 1:
        text += f" [{value.low:.{column.digits}f}, {value.high:.{column.digits}f}]"
    if value.n != group.patients:
        text += f" (n = {value.n})"
    return Cell(text, lines > 1 and value.value == best)


def _difference(line: Line, name: str, column: Column) -> Cell:
    value = line.differences.get(name)
    if value is None or not value.n:
        return Cell("-")
    text = _signed(value.value, column.digits)
    if value.n > 1:
        low, high = (_signed(v, column.digits) for v in (value.low, value.high))
        text += f" [{low}, {high}]"
    if (p := line.p.get(name)) is not None:
        text += ", p < .001" if p < 0.001 else f", p = {p:.3f}"
    return Cell(text)


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")


def _mean_and_std(value: Mean, column: Column) -> str:
    if not value.n:
        return "-"
    text = f"{value.value:.{column.digits}f}"
    return text if math.isnan(value.std) else f"{text} ± {value.std:.{column.digits}f}"


def _checked(rows: Iterable[Row]) -> list[Row]:
    checked, seen = list(rows), set()
    for row in checked:
        if missing := [name for name in KEYS if name not in row]:
            raise ValueError(f"the row {dict(row)} lacks {', '.join(missing)}")
        key = tuple(row[name] for name in KEYS)
        if row["views"] not in (1, 2):
            raise ValueError(f"not a number of views: {key}")
        if key in seen:
            raise ValueError(f"two rows for {key}")
        seen.add(key)
    return checked


def _write_csv(path: str | os.PathLike[str], names: Sequence[str], rows: Iterable[Row]) -> Path:
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {k: f"{v:.6g}" if isinstance(v, float) else no_formula(v) for k, v in row.items()}
        )
    return write_text(path, text.getvalue())
