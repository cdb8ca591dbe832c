import math

import numpy as np
import pytest

from polymlops.errors import MetricError
from polymlops.metrics.pass_at_k import pass_at_k
from polymlops.metrics.statistics import bootstrap_mean, bootstrap_pass_at_k, bootstrap_pass_at_k_draws


def counts():
    rng = np.random.default_rng(0)
    return rng.binomial(50, rng.beta(0.6, 1.2, 120))


def test_every_point_agrees_with_the_bootstrap_of_its_column():
    c_P = counts()
    curve = bootstrap_pass_at_k(50, c_P, [1, 5, 20, 50], np.random.default_rng(1), 20_000)
    for k, ours in curve.items():
        column = bootstrap_mean(pass_at_k(50, c_P, k), np.random.default_rng(2), 20_000)
        width = column.high - column.low
        assert ours.value == pytest.approx(column.value, rel=1e-12)
        assert ours.low == pytest.approx(column.low, abs=0.04 * width)
        assert ours.high == pytest.approx(column.high, abs=0.04 * width)
        assert ours.n == 120


def test_the_draws_are_the_curves_of_resampled_prompts():
    n_P, c_P = np.array([5, 7, 5, 6]), np.array([1, 3, 5, 0])
    draws = bootstrap_pass_at_k_draws(n_P, c_P, [1, 3], np.random.default_rng(3), 300)
    drawn_RP = np.random.default_rng(3).integers(0, 4, size=(300, 4))
    expected = pass_at_k(n_P, c_P, [1, 3])[drawn_RP].mean(axis=1)
    np.testing.assert_allclose(draws.means_RM, expected, rtol=1e-12)
    np.testing.assert_allclose(draws.mean_M, pass_at_k(n_P, c_P, [1, 3]).mean(axis=0), rtol=1e-12)
    assert draws.prompts == 4


def test_curves_are_resampled_as_a_whole():
    draws = bootstrap_pass_at_k_draws(50, counts(), np.arange(1, 51), np.random.default_rng(4), 500)
    gains = np.diff(draws.means_RM, axis=1)
    assert (gains > -1e-12).all()
    assert (np.diff(gains, axis=1) < 1e-12).all()


def test_more_prompts_than_fit_one_block():
    c_P = np.random.default_rng(5).binomial(4, 0.5, 100_000)
    curve = bootstrap_pass_at_k(4, c_P, [2], np.random.default_rng(6), 100)
    assert curve[2].low < curve[2].value < curve[2].high


def test_k_beyond_a_prompts_samples_is_undefined():
    curve = bootstrap_pass_at_k([4, 8], [1, 2], [4, 5], np.random.default_rng(0), 50)
    assert not math.isnan(curve[4].value)
    assert math.isnan(curve[5].value)
    assert math.isnan(curve[5].low)


def test_one_prompt_has_no_interval():
    alone = bootstrap_pass_at_k(4, [2], [1], np.random.default_rng(0))[1]
    assert alone.value == pytest.approx(0.5)
    assert math.isnan(alone.low)


@pytest.mark.parametrize(("n", "c"), [(4, []), (4, [5]), (4, [math.nan]), ([[4]], [[1]])])
def test_counts_without_meaning_are_refused(n, c):
    with pytest.raises(MetricError):
        bootstrap_pass_at_k(n, c, [1], np.random.default_rng(0))
