import itertools
import math

import numpy as np
import pytest
from enumeration import checked
from hypothesis import given
from hypothesis import strategies as st

from polymlops.errors import MetricError
from polymlops.metrics.statistics import holm, sign_flip_test

differences = st.lists(st.integers(-4, 4) | st.floats(-5, 5), min_size=1, max_size=9)


@checked
@given(differences)
def test_few_prompts_are_enumerated(values):
    result = sign_flip_test(values, [0.0] * len(values), np.random.default_rng(0))
    sums = [
        sum(s * v for s, v in zip(signs, values, strict=True))
        for signs in itertools.product((1, -1), repeat=len(values))
    ]
    tolerance = 1e-12 * sum(map(abs, values))
    expected = np.mean([abs(total) >= abs(sum(values)) - tolerance for total in sums])
    assert result.exact
    assert result.p == pytest.approx(expected)
    assert result.mean == pytest.approx(np.mean(values), abs=1e-12)


def test_many_prompts_are_sampled_close_to_the_exact_p():
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.4, 1, 12), np.zeros(12)
    exact = sign_flip_test(a, b, rng, resamples=10_000)
    sampled = sign_flip_test(a, b, rng, resamples=4_000)
    assert exact.exact
    assert not sampled.exact
    assert sampled.p == pytest.approx(exact.p, abs=4 * math.sqrt(exact.p / 4_000))


def test_p_is_never_zero_and_repeats():
    a, b = np.ones(60), np.zeros(60)
    result = sign_flip_test(a, b, np.random.default_rng(2), resamples=999)
    assert result.p == pytest.approx(1 / 1_000)
    assert result == sign_flip_test(a, b, np.random.default_rng(2), resamples=999)


def test_p_is_uniform_where_nothing_differs():
    rng = np.random.default_rng(3)
    ps = [sign_flip_test(rng.normal(size=30), rng.normal(size=30), rng, resamples=199).p for _ in range(500)]
    for level in (0.05, 0.2, 0.5):
        assert np.mean(np.array(ps) <= level) == pytest.approx(level, abs=0.05)


def test_sign_flip_borders():
    assert sign_flip_test([1.0, 2.0], [1.0, 2.0], np.random.default_rng(0)).p == 1.0
    assert math.isnan(sign_flip_test([], [], np.random.default_rng(0)).p)
    for a, b in (([1.0], [1.0, 2.0]), ([math.nan], [1.0])):
        with pytest.raises(MetricError):
            sign_flip_test(a, b, np.random.default_rng(0))
    with pytest.raises(MetricError, match="resamples"):
        sign_flip_test([1.0], [0.0], np.random.default_rng(0), resamples=0)


@checked
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_what_its_step_down_procedure_rejects(p_values):
    adjusted = holm(p_values)
    assert (adjusted >= np.array(p_values)).all()
    for level in (0.01, 0.05, 0.3):
        rejected = set()
        for step, index in enumerate(np.argsort(p_values, kind="stable")):
            if p_values[index] * (len(p_values) - step) > level:
                break
            rejected.add(int(index))
        assert {i for i, p in enumerate(adjusted) if p <= level} == rejected


def test_holm_keeps_order():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert holm([]).shape == (0,)


@pytest.mark.parametrize("p_values", [[math.nan, 0.1], [-0.1], [1.1]])
def test_holm_refuses_what_is_no_p_value(p_values):
    with pytest.raises(MetricError):
        holm(p_values)
