"""A metric: a function with its label and definition for tables and reports."""

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
        name: key in ``result.json`` and column in ``metrics.csv``.
        label: short name for tables, for example "PSNR".
        note: definition in one sentence, for tables and reports.
        function: computes the metric for a pair of volumes in a region. If the truth shows no body,
            it is not called for the region ``"body"``, and the metric is NaN.
        direction: which values are better: ``"higher"``, ``"lower"``, or ``"one"`` if 1 is perfect
            and both smaller and larger values are worse.
        unit: unit of the value, for example "dB"; empty for values on [0, 1] and for ratios.
        region: where it applies: ``"box"``, the whole volume; ``"body"``, the patient's body;
            ``"anatomy"``, single structures.
        grey_difference: whether the value is a difference of grey values on [0, 1]; it is then
            displayed in HU, multiplied by the width of the HU window.
        digits: displayed digits after the decimal point.
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
        """A value for display; empty if it is None or not finite."""
        if value is None or not math.isfinite(value):
            return ""
        if self.grey_difference:
            return f"{value * (window_hu[1] - window_hu[0]):.0f}"
        return f"{value:.{self.digits}f}"

    def best(self, values: Iterable[float | None]) -> float | None:
        """The best of several values; None if none of them is finite."""
        known = [v for v in values if v is not None and math.isfinite(v)]
        if not known:
            return None
        if self.direction == "one":
            return min(known, key=lambda value: abs(value - 1))
        return max(known) if self.direction == "higher" else min(known)
