import math

import numpy as np
import pytest
from enumeration import checked
from hypothesis import given
from hypothesis import strategies as st

from polymlops.errors import MetricError
from polymlops.metrics.diversity_efficiency import (
    coverage_efficiency,
    coverage_efficiency_of_means,
    der_bounds,
    diversity_efficiency_ratio,
)
from polymlops.metrics.pass_at_k import pass_at_k, pass_at_k_curve


@checked
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), min_size=1, max_size=5))
def test_der_of_every_reachable_curve_lies_within_its_bounds(prompts):
    c = [min(passed, 6) for _, passed in prompts]
    curve = pass_at_k_curve(6, c, range(1, 7))
    ratio, bounds = diversity_efficiency_ratio(curve), der_bounds(curve)
    for k in curve:
        if curve[1] == 0:
            assert math.isnan(ratio[k])
            assert math.isnan(bounds[k].low)
            continue
        assert ratio[k] == pytest.approx(curve[k] / (k * curve[1]))
        assert bounds[k].low - 1e-12 <= ratio[k] <= bounds[k].high + 1e-12


def test_der_bounds_are_reached():
    collapsed = pass_at_k_curve(10, [10, 0, 0, 0], range(1, 11))
    assert diversity_efficiency_ratio(collapsed)[10] == pytest.approx(der_bounds(collapsed)[10].low)
    lucky = {1: 0.1, 10: 1.0}
    assert diversity_efficiency_ratio(lucky)[10] == pytest.approx(der_bounds(lucky)[10].high)
    weak = {1: 0.01, 10: 0.05}
    assert der_bounds(weak)[10].high == 1
    strong = {1: 0.5, 10: 1.0}
    assert der_bounds(strong)[10].high == pytest.approx(0.2)


@pytest.mark.parametrize(("p", "der"), [(0.01, 0.96), (0.3, 0.32), (0.9, 0.11)])
def test_a_weaker_model_has_a_higher_der(p, der):
    # Independent samples of equally hard prompts, k = 10.
    curve = {1: p, 10: 1 - (1 - p) ** 10}
    assert diversity_efficiency_ratio(curve)[10] == pytest.approx(der, abs=0.005)


@pytest.mark.parametrize("curve", [{}, {2: 0.5}, {1: 0.5, 2: math.nan}, {1: 1.5}, {1: -0.1, 2: 0.3}, {0: 0.1, 1: 0.2}])
def test_curves_without_a_der_are_refused(curve):
    with pytest.raises(MetricError):
        diversity_efficiency_ratio(curve)
    with pytest.raises(MetricError):
        der_bounds(curve)


@checked
@given(
    st.integers(2, 6).flatmap(
        lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=1, max_size=6)
    ),
    st.integers(2, 6),
)
def test_coverage_efficiency_equals_its_definition(rows, k):
    n, p = len(rows[0]), float(np.mean(rows))
    covered = float(np.mean(pass_at_k(n, [sum(row) for row in rows], k)))
    expected = (covered - p) / (1 - (1 - p) ** k - p) if 0 < p < 1 and k <= n else math.nan
    assert coverage_efficiency(rows, k) == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)


def test_coverage_efficiency_spans_all_or_nothing_to_no_spread():
    all_or_nothing = [[1] * 4, [0] * 4]
    assert coverage_efficiency(all_or_nothing, 3) == pytest.approx(0, abs=1e-15)
    rng = np.random.default_rng(0)
    assert coverage_efficiency(rng.random((4_000, 20)) < 0.3, 5) == pytest.approx(1, abs=0.01)


def test_coverage_efficiency_at_2_is_one_minus_the_intraclass_correlation():
    rng = np.random.default_rng(1)
    correct = rng.random((50, 12)) < rng.beta(1, 2, 50)[:, None]
    within = correct.var(axis=1, ddof=1).mean()
    p = correct.mean()
    icc = 1 - within / (p * (1 - p))
    assert coverage_efficiency(correct, 2) == pytest.approx(1 - icc, rel=1e-12)


@pytest.mark.parametrize(("rows", "k"), [([[1, 0]], 1), ([[1, 1]], 2), ([[0, 0]], 2), ([[1, 0], [1]], 2)])
def test_coverage_efficiency_is_nan_where_undefined(rows, k):
    assert math.isnan(coverage_efficiency(rows, k))


@pytest.mark.parametrize("rows", [[], [[0.5, 1]], [[math.nan, 1]], [["True", "False"]]])
def test_outcomes_must_be_true_or_false(rows):
    with pytest.raises(MetricError):
        coverage_efficiency(rows, 2)


def test_the_form_for_resampled_means_is_elementwise():
    result = coverage_efficiency_of_means([0.2, 0.0, 1.0], [0.3, 0.0, 1.0], 3)
    assert result[0] == pytest.approx(0.1 / (1 - 0.8**3 - 0.2))
    assert np.isnan(result[1:]).all()
