"""Compare bundles with the first one: means over patients, paired differences, tests.

Rows are grouped by the kind of inputs (X-ray or DRR), the number of views and the grid on which
they were measured. Different groups are never averaged or compared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from axon_backend.evaluation.columns import columns
from axon_backend.evaluation.statistics import Mean, holm, mean_of, signed_rank_p

BASELINE = "atlas_mean"  # the mean training volume, measured for comparison
SAMPLE = "one sample"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """One bundle's stage in a group.

    Attributes:
        bundle, method, stage: what produced the volumes.
        estimate: "one sample", "mean of K"; empty for a deterministic method.
        values: by column, the mean over patients.
        differences: by column, the mean paired difference from the group's reference.
        p: by column, Wilcoxon's p adjusted by Holm's method; None if n is too small.
    """

    bundle: str
    method: str
    stage: str
    estimate: str
    values: dict[str, Mean]
    differences: dict[str, Mean] = field(default_factory=dict)
    p: dict[str, float | None] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The line's name in tables."""
        if self.bundle == BASELINE and not self.stage:
            return "atlas mean"
        return ", ".join(part for part in (self.bundle, self.stage, self.estimate) if part)


@dataclass(frozen=True)
class Group:
    """Results that may be compared: the same kind of inputs, measured on the same grid.

    Attributes:
        inputs: kind of the inputs.
        views: 1 or 2.
        grid: side of the volumes in voxels; 0 for measurements of images.
        columns: names of the columns that any line has, in order.
        lines: in the order of the bundles.
        reference: bundle and stage from which differences are computed.
        patients: number of patients.
    """

    inputs: str
    views: int
    grid: int
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    reference: str
    patients: int

    @property
    def title(self) -> str:
        """The group's heading."""
        kind = f"{self.grid}³ voxels" if self.grid else "images"
        people = "patient" if self.patients == 1 else "patients"
        return f"{self.inputs}, {kind} ({self.patients} {people})"


def compare(rows: Sequence[Row], reference: str, seed: int = 0) -> list[Group]:
    """Group rows of ``metrics.csv`` and compare the bundles of each group with one of them.

    Within a group, all metrics are averaged over the scans of a patient, then over patients. A
    deterministic method or a mean of samples is compared with the mean of the reference's samples,
    a single sample with a single sample: for a perfect sampler, the squared error of one sample is
    twice that of the posterior mean.

    Args:
        rows: see ``tables.write_metrics_csv``.
        reference: the bundle whose last stage the others are compared with.
        seed: random seed of the bootstrap.
    """
    parts: dict[tuple[str, int, int], list[Row]] = {}
    for row in rows:
        parts.setdefault((row["inputs"], row["views"], row["grid"]), []).append(row)
    kinds = list(dict.fromkeys(key[0] for key in parts))
    # Volumes before images, one view before two, coarse grids before fine ones.
    order = sorted(parts, key=lambda k: (k[2] == 0, k[1], kinds.index(k[0]), k[2]))
    return [_group(key, parts[key], reference, seed) for key in order]


def _group(key: tuple[str, int, int], rows: Sequence[Row], reference: str, seed: int) -> Group:
    names = [name for name in columns() if any(name in row for row in rows)]
    found: dict[tuple[str, str, str, str], list[Row]] = {}
    for row in rows:
        found.setdefault(
            (row["bundle"], row["method"], row["stage"], row["estimate"]), []
        ).append(row)  # fmt: skip
    by_patient = {line: {n: _patients(of, n) for n in names} for line, of in found.items()}
    targets = _targets(list(found), reference)
    lines = []
    for line, values in by_patient.items():
        target = targets.get(line)
        differences = {} if target is None or target == line else {
            name: _paired(values[name], by_patient[target][name]) for name in names
        }  # fmt: skip
        lines.append((line, values, differences))
    p: dict[str, list[float | None]] = {
        name: holm([signed_rank_p(d.get(name, ())) for _, _, d in lines]) for name in names
    }
    return Group(
        *key,
        columns=tuple(names),
        lines=tuple(
            Line(
                *line,
                values={n: mean_of(list(v.values()), seed) for n, v in values.items()},
                differences={n: mean_of(d, seed) for n, d in differences.items()},
                p={n: p[n][i] for n in differences},
            )
            for i, (line, values, differences) in enumerate(lines)
        ),
        reference=_reference_title(list(found), reference),
        patients=len({row["patient"] for row in rows}),
    )


def _targets(
    lines: list[tuple[str, str, str, str]], reference: str
) -> dict[tuple[str, str, str, str], tuple[str, str, str, str]]:
    """The line that each line is compared with: the reference's last stage, by estimate."""
    own = [line for line in lines if line[0] == reference]
    if not own:
        return {}
    last = [line for line in own if line[2] == own[-1][2]]
    of_sample = next((line for line in last if line[3] == SAMPLE), last[-1])
    of_mean = next((line for line in last if line[3] != SAMPLE), last[-1])
    return {line: of_sample if line[3] == SAMPLE else of_mean for line in lines}


def _reference_title(lines: list[tuple[str, str, str, str]], reference: str) -> str:
    stages = [line[2] for line in lines if line[0] == reference]
    return f"{reference}, {stages[-1]}" if stages else reference


def _patients(rows: Sequence[Row], name: str) -> dict[str, float]:
    """By patient, the mean over the scans that have a finite value."""
    found: dict[str, list[float]] = {}
    for row in rows:
        value = row.get(name)
        if value is not None and math.isfinite(value):
            found.setdefault(row["patient"], []).append(value)
    return {patient: math.fsum(values) / len(values) for patient, values in found.items()}


def _paired(values: Mapping[str, float], target: Mapping[str, float]) -> list[float]:
    return [value - target[patient] for patient, value in values.items() if patient in target]
