import math

import numpy as np
import pytest

from polymlops.errors import MetricError
from polymlops.metrics.pass_at_k import beta_binomial_fit, pass_at_k


def test_known_rates_are_recovered():
    rng = np.random.default_rng(0)
    c_P = rng.binomial(100, rng.beta(0.7, 2.0, 4_000))
    fit = beta_binomial_fit(100, c_P)
    assert fit.a == pytest.approx(0.7, rel=0.06)
    assert fit.b == pytest.approx(2.0, rel=0.08)
    assert fit.zero_share == 0


def test_prompts_that_never_pass_are_told_from_hard_ones():
    rng = np.random.default_rng(1)
    c_P = rng.binomial(50, rng.beta(3.0, 3.0, 2_000)) * (rng.random(2_000) > 0.3)
    fit = beta_binomial_fit(50, c_P)
    assert fit.zero_share == pytest.approx(0.3, abs=0.03)
    assert fit.pass_at_k(10_000) == pytest.approx(0.7, abs=0.03)


def test_it_agrees_with_the_unbiased_estimate_inside_and_extrapolates_beyond():
    rng = np.random.default_rng(2)
    rates_P = rng.beta(0.5, 1.5, 3_000)
    fit = beta_binomial_fit(40, rng.binomial(40, rates_P))
    for k in (1, 5, 20):
        unbiased = pass_at_k(400, rng.binomial(400, rates_P), k).mean()
        assert fit.pass_at_k(k) == pytest.approx(unbiased, abs=0.01)
    truth = (1 - (1 - rates_P) ** 400).mean()
    assert fit.pass_at_k(400) == pytest.approx(truth, abs=0.01)


def test_the_likelihood_is_a_maximum():
    from scipy.stats import betabinom

    rng = np.random.default_rng(3)
    c_P = rng.binomial(20, rng.beta(1.5, 2.5, 300))
    fit = beta_binomial_fit(20, c_P)
    at_fit = betabinom.logpmf(c_P, 20, fit.a, fit.b).sum()
    assert fit.log_likelihood == pytest.approx(at_fit, rel=1e-9)
    for a, b in ((1.02, 1), (0.98, 1), (1, 1.02), (1, 0.98)):
        assert betabinom.logpmf(c_P, 20, fit.a * a, fit.b * b).sum() < at_fit


def test_unequal_n_is_used():
    rng = np.random.default_rng(4)
    n_P = rng.integers(5, 60, 3_000)
    fit = beta_binomial_fit(n_P, rng.binomial(n_P, rng.beta(2.0, 2.0, 3_000)))
    assert fit.a == pytest.approx(2.0, rel=0.1)


def test_rates_without_spread_give_the_binomial():
    fit = beta_binomial_fit(10, [3] * 50)
    assert fit.pass_at_k(2) == pytest.approx(1 - 0.7**2, rel=1e-3)


def test_borders():
    nothing = beta_binomial_fit(10, [0, 0, 0])
    assert math.isnan(nothing.a)
    assert math.isnan(nothing.pass_at_k(100))
    everything = beta_binomial_fit([10, 5], [10, 5])
    assert everything.pass_at_k(1) == 1.0
    assert everything.prompts == 2
    with pytest.raises(MetricError, match="k must be"):
        everything.pass_at_k(0)


@pytest.mark.parametrize("arguments", [([], []), ([0, 3], [0, 1]), ([3], [4]), ([3], [float("nan")])])
def test_counts_without_meaning_are_refused(arguments):
    with pytest.raises(MetricError):
        beta_binomial_fit(*arguments)
