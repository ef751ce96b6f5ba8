"""Statistics against closed forms and answers worked out by hand."""

import math

import numpy as np
import pytest

from axon_backend.evaluation.statistics import (
    coverage,
    holm,
    mean_of,
    signed_rank_p,
    spread_and_skill,
)


def test_the_interval_of_many_normal_values_is_that_of_their_standard_error():
    values = np.random.default_rng(3).normal(20.0, 2.0, 400)
    mean = mean_of(values.tolist())
    half = 1.959964 * values.std() / math.sqrt(len(values))
    assert mean.n == 400 and mean.value == pytest.approx(values.mean())
    assert mean.low == pytest.approx(values.mean() - half, abs=0.012)
    assert mean.high == pytest.approx(values.mean() + half, abs=0.012)


def test_the_interval_of_two_values_is_between_them():
    """Of the means 0, 1/2 and 1 of two resampled values, the outer ones have a quarter each."""
    mean = mean_of([0.0, 1.0])
    assert (mean.low, mean.high) == (0.0, 1.0) and mean.std == pytest.approx(math.sqrt(0.5))


def test_the_same_seed_gives_the_same_interval_and_nan_is_left_out():
    values = [1.0, 4.0, 2.0, math.nan, 8.0]
    assert mean_of(values, seed=5) == mean_of(values, seed=5)
    assert mean_of(values).n == 4
    assert mean_of([math.nan]).n == 0 and math.isnan(mean_of([]).value)
    assert math.isnan(mean_of([3.0]).low) and mean_of([3.0]).value == 3.0


def test_holm_by_hand():
    """p = .01, .04, .03, .005 of m = 4, ascending .005, .01, .03, .04:
    4 * .005 = .02; 3 * .01 = .03; 2 * .03 = .06; 1 * .04 = .04, which must not be below .06."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([None, 0.5, 0.9]) == [None, 1.0, 1.0]
    assert holm([]) == []


def test_wilcoxon_of_six_equal_signs_is_the_smallest_that_exists():
    """All six ranks on one side: 2 of the 2^6 assignments of signs are as extreme."""
    assert signed_rank_p([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) == pytest.approx(2 / 64)
    assert signed_rank_p([1.0, 2.0, 3.0, 4.0, 5.0]) is None, "n too small"
    assert signed_rank_p([0.0] * 6) == 1.0


def test_spread_and_skill_of_a_perfect_sampler_is_one():
    rng = np.random.default_rng(0)
    centre = rng.normal(size=40_000)  # unlike at every voxel
    draws = centre + 0.3 * rng.normal(size=(9, 40_000))
    spread, ratio = spread_and_skill(draws[:8], draws[8])
    assert spread == pytest.approx(0.3, rel=0.01)
    assert ratio == pytest.approx(1.0, rel=0.02)
    # Half the spread: the error of the mean is sqrt(1 + .25 / 8) instead of sqrt(1 + 1 / 8).
    narrow = centre + 0.15 * rng.normal(size=(8, 40_000))
    expected = math.sqrt(1 + 1 / 8) * 0.5 / math.sqrt(1 + 0.25 / 8)
    assert spread_and_skill(narrow, draws[8])[1] == pytest.approx(expected, rel=0.02)


def test_prediction_intervals_contain_what_they_say():
    rng = np.random.default_rng(0)
    centre = rng.normal(size=40_000)
    draws = centre + 0.3 * rng.normal(size=(5, 40_000))
    assert coverage(draws[:4], draws[4], 0.5) == pytest.approx(0.5, abs=0.01)
    assert coverage(draws[:4], draws[4], 0.9) == pytest.approx(0.9, abs=0.01)
    narrow = centre + 0.1 * rng.normal(size=(4, 40_000))
    assert coverage(narrow, draws[4], 0.9) < 0.7
