"""Statistics over patients: bootstrap intervals, paired differences, Wilcoxon's and Holm's methods.

The patient is the unit throughout: scans of one patient are averaged before anything else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000
#: With fewer patients no two-sided p below .05 exists (n = 5: .0625 at least).
SMALLEST_N = 6


@dataclass(frozen=True)
class Mean:
    """A mean over patients.

    Attributes:
        n: number of patients.
        value: the mean; NaN without patients.
        std: sample standard deviation; NaN for fewer than two patients.
        low, high: 95 % bootstrap interval; NaN for fewer than two patients.
    """

    n: int
    value: float
    std: float
    low: float
    high: float


def mean_of(values: Sequence[float], seed: int = 0, resamples: int = RESAMPLES) -> Mean:
    """Mean and percentile bootstrap interval (Efron & Tibshirani 1993, chapter 13).

    Args:
        values: one per patient; values that are not finite are left out.
        seed: random seed; the same values and seed give the same interval.
        resamples: number of resamples of the patients, with replacement.
    """
    x = np.asarray([v for v in values if math.isfinite(v)], float)
    if not len(x):
        return Mean(0, math.nan, math.nan, math.nan, math.nan)
    if len(x) == 1:
        return Mean(1, float(x[0]), math.nan, math.nan, math.nan)
    from scipy.stats import bootstrap  # slow to import

    interval = bootstrap(
        (x,),
        np.mean,
        n_resamples=resamples,
        batch=max(1, 5_000_000 // len(x)),  # limits the memory for large cohorts
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    low, high = interval.low, interval.high
    return Mean(len(x), float(x.mean()), float(x.std(ddof=1)), float(low), float(high))


def signed_rank_p(differences: Sequence[float]) -> float | None:
    """Two-sided p of Wilcoxon's signed-rank test of paired differences; None for fewer than
    :data:`SMALLEST_N` patients."""
    x = np.asarray([d for d in differences if math.isfinite(d)], float)
    if len(x) < SMALLEST_N:
        return None
    if not x.any():
        return 1.0
    from scipy.stats import wilcoxon  # slow to import

    return float(wilcoxon(x).pvalue)


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Adjust p values for multiple comparisons (Holm 1979): ``max over j <= i of (m - j) p_(j)`` in
    ascending order (j from 0), at most 1. None is not counted and stays None."""
    known = sorted((value, i) for i, value in enumerate(p) if value is not None)
    adjusted: list[float | None] = [None] * len(p)
    largest = 0.0
    for rank, (value, i) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * value))
        adjusted[i] = largest
    return adjusted


def spread_and_skill(samples: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Spread of an ensemble and its ratio to the error of the ensemble's mean.

    Spread is the square root of the mean (unbiased) variance over voxels. If truth and samples come
    from the same distribution, the squared error of the mean of K samples is (1 + 1/K) times the
    variance; with this factor the ratio is 1 (Fortin et al. 2014). Below 1, the samples differ too
    little.

    Args:
        samples: (K, ...), K >= 2.
        truth: (...).

    Returns:
        spread in the unit of the volumes, and ``sqrt(1 + 1/K) spread / RMSE of the mean``.
    """
    count = len(samples)
    spread = math.sqrt(float(samples.var(0, ddof=1, dtype=np.float64).mean()))
    error = math.sqrt(float(np.square(samples.mean(0, dtype=np.float64) - truth).mean()))
    ratio = math.sqrt(1 + 1 / count) * spread / error if error > 0 else math.nan
    return spread, ratio


def coverage(samples: np.ndarray, truth: np.ndarray, level: float) -> float:
    """Share of the voxels whose truth lies in the prediction interval of an ensemble.

    The interval of a further draw from the samples' normal distribution, mean +- t sqrt(1 + 1/K)
    standard deviations with Student's t of K - 1 degrees of freedom: if truth and samples come from
    one distribution, it contains ``level`` of the voxels.

    Args:
        samples: (K, ...), K >= 2.
        truth: (...).
        level: between 0 and 1.
    """
    from scipy import stats

    count = len(samples)
    reach = float(stats.t.ppf(0.5 + level / 2, count - 1)) * math.sqrt(1 + 1 / count)
    spread = samples.std(0, ddof=1, dtype=np.float64)
    error = np.abs(samples.mean(0, dtype=np.float64) - truth)
    return float((error <= reach * spread).mean())
