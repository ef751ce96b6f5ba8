"""What a metric is: a function with the words that tables and reports need."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from axon_backend.metrics.pair import Region, VolumePair


@dataclass(frozen=True)
class Metric:
    """One metric of a reconstruction against the true CT.

    Attributes:
        name: the key in ``result.json`` and the column in ``metrics.csv``.
        label: short and readable, for tables, for example "PSNR".
        note: one sentence that defines the metric, for tables and reports.
        function: computes it for a pair of volumes in a region. Where the truth shows no body it
            is not called for the region ``"body"``, and the metric is NaN.
        direction: which values are better: ``"higher"``, ``"lower"``, or ``"one"`` where 1 is
            perfect and both smaller and larger values are worse.
        unit: of the value, for example "dB"; empty for values on [0, 1] and for ratios.
        region: where it applies: ``"box"``, the whole volume; ``"body"``, the patient's body;
            ``"anatomy"``, single structures.
        grey_difference: the value is a difference of grey values on [0, 1], so that times the
            width of the HU window it is in HU; shown in HU where people read it.
        digits: after the decimal point where people read it.
    """

    name: str
    label: str
    note: str
    function: Callable[[VolumePair, Region], float]
    direction: Literal["higher", "lower", "one"]
    unit: str = ""
    region: Region = "box"
    grey_difference: bool = False
    digits: int = 3

    @property
    def heading(self) -> str:
        """Label with the unit in which :meth:`text` shows it."""
        unit = "HU" if self.grey_difference else self.unit
        return f"{self.label} ({unit})" if unit else self.label

    def text(self, value: float | None, window_hu: tuple[float, float]) -> str:
        """A value as people read it; empty where it is missing or not a number."""
        if value is None or not math.isfinite(value):
            return ""
        if self.grey_difference:
            return f"{value * (window_hu[1] - window_hu[0]):.0f}"
        return f"{value:.{self.digits}f}"

    def best(self, values: Iterable[float | None]) -> float | None:
        """The best of several values; None when none is a number."""
        known = [v for v in values if v is not None and math.isfinite(v)]
        if not known:
            return None
        if self.direction == "one":
            return min(known, key=lambda value: abs(value - 1))
        return max(known) if self.direction == "higher" else min(known)
