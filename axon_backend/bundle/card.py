"""The model card of a bundle: intended use, data, results and limits, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from axon_backend.bundle.metadata import INTENDED_USE


def model_card(
    *,
    name: str,
    version: str,
    summary: str,
    inputs: str,
    outputs: str,
    training_data: str,
    figures: Sequence[Mapping[str, str]],
    figures_note: str,
    limits: Sequence[str],
    method: str,
    licence: str = "Apache-2.0",
) -> str:
    """Markdown for docs/README.md.

    Args:
        figures: rows of the table of results, each {column: text}, all with the same columns; if
            empty, there is no table.
        figures_note: patients, baseline and metric conventions of the results.
        limits: what the weights cannot do, one sentence each.
        Other arguments: one paragraph each.

    Raises:
        ValueError: the rows of `figures` have different columns.
    """
    columns = list(figures[0]) if figures else []
    if any(list(row) != columns for row in figures):
        raise ValueError(f"every row of figures needs the columns {columns}")
    table = [columns, ["---"] * len(columns), *(list(row.values()) for row in figures)]
    lines = [f"| {' | '.join(row)} |" for row in table] if figures else []
    sections = [
        ("Intended use", [INTENDED_USE]),
        ("Input", [inputs]),
        ("Output", [outputs]),
        ("Training data", [training_data]),
        ("Results", [*lines, "", figures_note] if lines else [figures_note]),
        ("Limits", [f"- {limit}" for limit in limits]),
        ("Licence", [f"{licence}, see LICENSE."]),
        ("Method", [method]),
    ]
    text = [f"# {name} {version}", "", summary]
    for title, body in sections:
        text += ["", f"## {title}", "", *body]
    return "\n".join(text) + "\n"
