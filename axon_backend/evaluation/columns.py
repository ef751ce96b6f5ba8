"""Columns of the evaluation's tables: all registered metrics, and quantities that need more than a
pair of volumes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from axon_backend.metrics import registered_metrics

#: Titles of the tables, in their order.
TITLES = {
    "box": "Whole volume",
    "body": "Inside the body",
    "anatomy": "Lungs and bone",
    "projection": "Projections of the volume",
    "samples": "Samples",
    "projection test": "Projection test",
}


@dataclass(frozen=True)
class Column:
    """One measured quantity.

    Attributes:
        name: in ``metrics.csv``.
        label, unit: for display.
        note: its definition.
        direction: which values are better, as in ``metrics.Metric``; None: neither.
        table: the table that contains it, a key of :data:`TITLES`.
        digits: digits after the decimal point.
    """

    name: str
    label: str
    note: str
    direction: Literal["higher", "lower", "one"] | None
    table: str
    digits: int = 3
    unit: str = ""

    @property
    def heading(self) -> str:
        """Label with unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def best(self, values: list[float]) -> float | None:
        """The best of several values; None if no direction is better."""
        if not values or self.direction is None:
            return None
        if self.direction == "one":
            return min(values, key=lambda value: abs(value - 1))
        return max(values) if self.direction == "higher" else min(values)


_EXTRA = (
    Column(
        "reprojection_frontal", "NCC, frontal",
        "correlation of the frontal image with the DRR of the volume, after local contrast "
        "normalisation",
        "higher", "projection",
    ),
    Column(
        "reprojection_lateral", "NCC, lateral",
        "the same for the lateral image, which with one view was not among the inputs",
        "higher", "projection",
    ),
    Column(
        "spread", "Spread",
        "standard deviation of the samples at a voxel (root of the mean variance), on [0, 1]",
        None, "samples", digits=4,
    ),
    Column(
        "spread_skill", "Spread / skill",
        "spread of the samples times sqrt(1 + 1/K) over the RMSE of their mean: 1 where samples "
        "and truth come from one distribution, below 1 where the samples differ too little",
        "one", "samples", digits=2,
    ),
    Column(
        "coverage_50", "Coverage, 50 %",
        "share of the voxels whose truth lies in the 50 % prediction interval of the samples; "
        "ideally 0.5",
        None, "samples", digits=2,
    ),
    Column(
        "coverage_90", "Coverage, 90 %",
        "the same for the 90 % prediction interval; ideally 0.9",
        None, "samples", digits=2,
    ),
    Column(
        "projection", "Local correlation",
        "correlation of local contrast of the volume's lateral projection with the patient's own "
        "lateral image, which was not an input, the best over a grid of depths and shifts",
        "higher", "projection test",
    ),
    Column(
        "projection_gradient", "Gradient correlation",
        "correlation of the gradients of the same two images at that depth and shift",
        "higher", "projection test",
    ),
    Column(
        "projection_others", "Others",
        "mean local correlation with the lateral images of the other patients",
        None, "projection test",
    ),
    Column(
        "projection_rank", "Rank of own image",
        "share of the other patients whose lateral image agrees better than the patient's own; "
        "50 % is chance",
        "lower", "projection test", digits=1, unit="%",
    ),
)  # fmt: skip


def columns() -> dict[str, Column]:
    """All columns by name, in the order of the tables."""
    found = []
    for metric in registered_metrics().values():
        # MAE is on [0, 1] like the other metrics, as in the literature; PSNR has two digits, since
        # methods differ by tenths of a dB.
        digits = 4 if metric.grey_difference else metric.digits + (metric.unit == "dB")
        found.append(
            Column(
                metric.name,
                metric.label,
                metric.note,
                metric.direction,
                metric.region,
                digits,
                metric.unit,
            )
        )
    return {column.name: column for column in (*found, *_EXTRA)}
