import itertools
import math

import numpy as np
import pytest
from enumeration import checked
from hypothesis import given
from hypothesis import strategies as st

from polymlops.errors import MetricError
from polymlops.metrics.collapse_point import bootstrap_collapse_point, collapse_point
from polymlops.metrics.pass_at_k import pass_at_k_curve

curves = st.dictionaries(st.integers(1, 12), st.floats(0, 1), min_size=2, max_size=8)


@checked
@given(curves, st.floats(0.001, 0.5))
def test_it_is_the_first_k_after_which_every_slope_is_below_the_threshold(curve, threshold):
    ks = sorted(curve)
    slopes = [(curve[b] - curve[a]) / (b - a) for a, b in itertools.pairwise(ks)]
    quiet = [k for i, k in enumerate(ks[:-1]) if all(slope < threshold for slope in slopes[i:])]
    assert collapse_point(curve, threshold).k == (quiet[0] if quiet else None)


def test_a_dense_curve():
    curve = pass_at_k_curve(50, [50] * 3 + [0] * 7 + [10] * 10, range(1, 51))
    found = collapse_point(curve)
    assert found.k is not None
    assert curve[found.k + 1] - curve[found.k] < 0.01 <= curve[found.k] - curve[found.k - 1]
    assert str(found.k) in found.reason


def test_a_sparse_curve_is_judged_by_slope_per_candidate():
    assert collapse_point({1: 0.2, 5: 0.6, 50: 0.8}).k == 5
    assert collapse_point({1: 0.2, 5: 0.6, 6: 0.8, 50: 0.9}).k == 6


def test_a_flat_curve_collapses_at_its_start():
    assert collapse_point({1: 0.5, 2: 0.5, 3: 0.5}).k == 1


def test_a_rising_curve_has_no_collapse_point():
    found = collapse_point({1: 0.1, 2: 0.2, 3: 0.3})
    assert found.k is None
    assert "beyond n" in found.reason


def test_one_k_has_none():
    found = collapse_point({1: 0.3})
    assert found.k is None
    assert "one k" in found.reason


@pytest.mark.parametrize("curve", [{}, {1: math.nan, 2: 0.3}, {1: 0.1, 2: math.nan}, {0: 0.1, 1: 0.2}])
def test_curves_with_gaps_are_refused(curve):
    with pytest.raises(MetricError):
        collapse_point(curve)


@pytest.mark.parametrize("threshold", [0.0, -0.1, math.nan])
def test_a_threshold_that_every_curve_meets_is_refused(threshold):
    with pytest.raises(MetricError, match="threshold"):
        collapse_point({1: 0.1, 2: 0.2}, threshold)


def test_the_interval_holds_the_point_and_repeats():
    rng = np.random.default_rng(0)
    c_P = rng.binomial(40, rng.beta(0.6, 1.0, 80))
    found = bootstrap_collapse_point(40, c_P, np.random.default_rng(1), resamples=500)
    assert found.k == collapse_point(pass_at_k_curve(40, c_P, range(1, 41))).k
    assert found.low <= found.k <= found.high
    assert found.low == int(found.low)
    assert found == bootstrap_collapse_point(40, c_P, np.random.default_rng(1), resamples=500)


def test_an_end_beyond_n_is_infinite():
    found = bootstrap_collapse_point(4, [1, 1, 1, 2], np.random.default_rng(0), resamples=50)
    assert found.k is None
    assert found.low == found.high == math.inf


def test_the_curve_ends_at_the_smallest_n():
    found = bootstrap_collapse_point([1, 9], [1, 3], np.random.default_rng(0), resamples=10)
    assert found.k is None
    assert math.isnan(found.low)
    for n in ([], [0, 3]):
        with pytest.raises(MetricError):
            bootstrap_collapse_point(n, [0] * len(n), np.random.default_rng(0))
