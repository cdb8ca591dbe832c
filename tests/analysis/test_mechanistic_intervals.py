"""Joint intervals: they hold together as often as they say, and degenerate honestly."""

from __future__ import annotations

import math

import numpy as np
import pytest

from polymlops.analysis.mechanistic_intervals import joint_intervals
from polymlops.errors import MetricError


@pytest.mark.parametrize("shared", [0.0, 0.9])
def test_all_intervals_hold_together_as_often_as_they_say(shared):
    """400 draws of 16 prompts x 12 quantities, independent or hanging together; binomial error of 95 % is 1.1 %."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        own = rng.normal(size=(16, 12))
        values = np.sqrt(shared) * rng.normal(size=(16, 1)) + np.sqrt(1 - shared) * own
        held += all(e.low <= 0 <= e.high for e in joint_intervals(values, rng, resamples=400))
    assert 0.92 <= held / 400 <= 1.0


def test_one_at_a_time_would_not_hold():
    """The same data with an interval for each quantity alone miss far more often: the correction is needed."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        values = rng.normal(size=(16, 12))
        alone = [joint_intervals(values[:, [m]], rng, resamples=200)[0] for m in range(12)]
        held += all(e.low <= 0 <= e.high for e in alone)
    assert held / 200 < 0.8


def test_a_real_difference_is_found_beside_none():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(30, 4))
    values[:, 2] += 3
    found = joint_intervals(values, np.random.default_rng(1))
    assert [e.excludes_zero for e in found] == [False, False, True, False]
    assert found[2].value == pytest.approx(values[:, 2].mean())
    assert found[2].n == 30


def test_what_does_not_vary_has_no_width_and_does_not_disturb_the_rest():
    values = np.random.default_rng(0).normal(size=(20, 2))
    alone = joint_intervals(values, np.random.default_rng(1))
    beside = joint_intervals(np.c_[values, np.full(20, 0.3)], np.random.default_rng(1))
    assert beside[:2] == alone
    assert (beside[2].low, beside[2].high) == pytest.approx((0.3, 0.3))


def test_prompts_with_a_nan_are_left_out_and_few_have_no_interval():
    values = np.random.default_rng(0).normal(size=(10, 2))
    values[0, 1] = np.nan
    assert [e.n for e in joint_intervals(values, np.random.default_rng(1))] == [9, 9]
    few = joint_intervals(values[:5], np.random.default_rng(1))[0]
    assert few.n == 4
    assert math.isnan(few.low)
    assert not few.excludes_zero
    assert math.isnan(joint_intervals(values[:1], np.random.default_rng(1))[0].value)


def test_bad_arguments():
    with pytest.raises(MetricError, match="one row a prompt"):
        joint_intervals([1.0, 2.0], np.random.default_rng(0))
    with pytest.raises(MetricError):
        joint_intervals([[1.0], [2.0]], np.random.default_rng(0), level=1.0)
