import math

import numpy as np
import pytest
import scipy.stats
from enumeration import checked
from hypothesis import given
from hypothesis import strategies as st

from polymlops.errors import MetricError
from polymlops.metrics.statistics import (
    cliffs_delta,
    cohens_d,
    interquartile_mean,
    minimum_detectable_effect,
    sign_flip_test,
)

numbers = st.lists(st.integers(-3, 3) | st.floats(-5, 5), min_size=1, max_size=9)


@checked
@given(numbers, numbers)
def test_cliffs_delta_equals_its_definition(a, b):
    assert cliffs_delta(a, b) == pytest.approx(np.mean([np.sign(x - y) for x in a for y in b]), abs=1e-12)


def test_cohens_d_is_of_the_paired_differences():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=40) + 0.5, rng.normal(size=40)
    # t = d sqrt(n) for paired samples.
    assert cohens_d(a, b) * math.sqrt(40) == pytest.approx(scipy.stats.ttest_rel(a, b).statistic)
    assert cohens_d(a, b) == -cohens_d(b, a)


@checked
@given(numbers)
def test_interquartile_mean_is_the_trimmed_mean_of_rliable(scores):
    expected = scipy.stats.trim_mean(scores, 0.25)
    assert interquartile_mean(scores) == pytest.approx(expected, abs=1e-12)


def test_interquartile_mean_ignores_outliers_of_any_shape():
    assert interquartile_mean([[1.0, 2.0], [3.0, 1e9]]) == 2.5


def test_minimum_detectable_effect_is_detected_with_its_power():
    n, sd = 80, 1.7
    effect = minimum_detectable_effect(sd, n)
    assert effect == pytest.approx((1.959964 + 0.841621) * sd / math.sqrt(n), rel=1e-6)
    rng = np.random.default_rng(1)
    found = [sign_flip_test(rng.normal(effect, sd, n), np.zeros(n), rng, 199).p <= 0.05 for _ in range(400)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.06)


def test_borders():
    assert math.isnan(cohens_d([1.0], [0.0]))
    assert math.isnan(cohens_d([1.0, 2.0], [0.0, 1.0]))
    assert math.isnan(cliffs_delta([], [1.0]))
    assert math.isnan(interquartile_mean([]))
    assert minimum_detectable_effect(0.0, 10) == 0.0


@pytest.mark.parametrize("arguments", [(-1, 10), (math.nan, 10), (1, 0), (1, 10, 1.0), (1, 10, 0.95, 0.0)])
def test_designs_without_meaning_are_refused(arguments):
    with pytest.raises(MetricError):
        minimum_detectable_effect(*arguments)


def test_nan_is_refused():
    for call in (
        lambda: cohens_d([math.nan, 1.0], [0.0, 1.0]),
        lambda: cliffs_delta([math.nan], [0.0]),
        lambda: interquartile_mean([math.nan]),
    ):
        with pytest.raises(MetricError):
            call()
