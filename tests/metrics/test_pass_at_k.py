import math
from fractions import Fraction

import numpy as np
import pytest
from enumeration import checked, over_subsets
from hypothesis import given
from hypothesis import strategies as st

from polymlops.errors import MetricError
from polymlops.metrics.pass_at_k import max_at_k, order_weights, pass_at_k, pass_at_k_curve, pass_hat_k

outcomes = st.lists(st.booleans(), min_size=1, max_size=7)
values = st.lists(st.integers(-3, 3) | st.floats(-1e3, 1e3), min_size=1, max_size=7)


@checked
@given(outcomes, st.integers(1, 8))
def test_pass_at_k_and_pass_hat_k_equal_enumeration(passed, k):
    n, c = len(passed), sum(passed)
    assert pass_at_k(n, c, k) == pytest.approx(over_subsets(passed, k, any), abs=1e-13, nan_ok=True)
    assert pass_hat_k(n, c, k) == pytest.approx(over_subsets(passed, k, all), abs=1e-13, nan_ok=True)


@checked
@given(values, st.integers(1, 8))
def test_max_at_k_equals_enumeration(row, k):
    assert max_at_k([row], k)[0] == pytest.approx(over_subsets(row, k, max), rel=1e-12, abs=1e-10, nan_ok=True)


@checked
@given(st.lists(values, min_size=1, max_size=4), st.lists(st.integers(1, 8), min_size=1, max_size=4))
def test_max_at_k_of_rows_of_unequal_length_is_that_of_each_row(rows, ks):
    together = max_at_k(rows, ks)
    assert together.shape == (len(rows), len(ks))
    for row, result in zip(rows, together, strict=True):
        np.testing.assert_allclose(result, [max_at_k([row], k)[0] for k in ks], rtol=1e-12, atol=1e-10)


@checked
@given(outcomes, st.integers(1, 7))
def test_max_at_k_of_outcomes_is_pass_at_k(passed, k):
    expected = pass_at_k(len(passed), sum(passed), k)
    assert max_at_k([[float(p) for p in passed]], k)[0] == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("c", [0, 1, 2, 17, 2_500, 4_999, 5_000, 5_001, 9_999, 10_000])
@pytest.mark.parametrize("k", [1, 2, 10, 5_000, 10_000])
def test_ten_thousand_samples_keep_all_digits(c, k):
    n = 10_000
    missed = Fraction(math.comb(n - c, k), math.comb(n, k))
    all_pass = Fraction(math.comb(c, k), math.comb(n, k))
    assert pass_at_k(n, c, k) == pytest.approx(float(1 - missed), rel=1e-12)
    # Chances below the smallest normal number may lose digits on their way to 0.
    assert pass_hat_k(n, c, k) == pytest.approx(float(all_pass), rel=1e-9, abs=1e-300)


def test_max_at_k_of_ten_thousand_values_keeps_all_digits():
    row = np.arange(10_000.0)
    # The expected maximum of k of 1..n is k (n + 1) / (k + 1); the values here start at 0.
    expected = [k * 10_001 / (k + 1) - 1 for k in (1, 2, 100, 5_000)]
    np.testing.assert_allclose(max_at_k(row[None], [1, 2, 100, 5_000])[0], expected, rtol=1e-12)


def test_a_dense_curve_of_many_prompts_equals_single_calls():
    rng = np.random.default_rng(0)
    n_P = rng.integers(50, 60, 200)
    c_P = rng.binomial(n_P, 0.3)
    ks = np.arange(1, 61)
    dense_PM = pass_at_k(n_P, c_P, ks)
    for prompt in range(0, 200, 17):
        single = [pass_at_k(n_P[prompt], c_P[prompt], int(k)) for k in ks]
        np.testing.assert_array_equal(dense_PM[prompt], single)


@pytest.mark.parametrize("function", [pass_at_k, pass_hat_k])
def test_one_candidate_passes_at_the_pass_rate(function):
    np.testing.assert_allclose(function(7, np.arange(8), 1), np.arange(8) / 7, rtol=1e-15)


def test_borders():
    assert math.isnan(pass_at_k(0, 0, 1))
    assert math.isnan(pass_hat_k(0, 0, 1))
    assert math.isnan(pass_at_k(3, 3, 4))
    assert pass_at_k(5, 0, 5) == 0.0
    assert pass_at_k(5, 5, 1) == 1.0
    assert pass_at_k(5, 1, 5) == 1.0
    assert pass_hat_k(5, 4, 5) == 0.0
    assert pass_hat_k(5, 5, 5) == 1.0
    assert max_at_k(np.empty((0, 4)), 2).shape == (0,)
    assert np.isnan(max_at_k(np.empty((2, 0)), 1)).all()
    assert pass_at_k([], [], 2).shape == (0,)


@pytest.mark.parametrize(
    "arguments",
    [(3, 4, 1), (3, -1, 1), (-1, 0, 1), (3, float("nan"), 1), (3, 1.5, 1), (3, 1, 0), (3, 1, [1, 0]), (3, 1, [])],
)
def test_counts_without_meaning_are_refused(arguments):
    with pytest.raises(MetricError):
        pass_at_k(*arguments)
    with pytest.raises(MetricError):
        pass_hat_k(*arguments)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_values_without_order_are_refused(bad):
    with pytest.raises(MetricError, match=r"\(1, 0\)"):
        max_at_k([[1.0, 2.0], [bad, 0.0]], 1)


def test_one_axis_is_refused():
    with pytest.raises(MetricError, match="prompts, candidates"):
        max_at_k([1.0, 2.0], 1)
    with pytest.raises(MetricError, match="prompts, candidates"):
        max_at_k(np.ones(3), 1)


@checked
@given(st.integers(1, 30), st.integers(1, 30))
def test_order_weights_are_chances(n, k):
    weights = order_weights(n, np.array([k]))[:, 0]
    assert np.isnan(weights).all() if k > n else weights.sum() == pytest.approx(1, rel=1e-12)


def test_the_curve_is_nan_where_a_prompt_has_too_few_samples():
    curve = pass_at_k_curve([4, 6], [2, 3], [1, 4, 5])
    assert curve[1] == pytest.approx(0.5)
    assert curve[4] == 1.0
    assert math.isnan(curve[5])


def test_a_scalar_n_serves_all_prompts():
    assert pass_at_k_curve(10, [0, 10], [3]) == {3: 0.5}
    with pytest.raises(MetricError, match="prompt"):
        pass_at_k_curve(10, [], [3])
