import math

import numpy as np
import pytest
import scipy.stats

from polymlops.errors import MetricError
from polymlops.metrics.statistics import (
    bootstrap_function,
    bootstrap_mean,
    bootstrap_pass_at_k,
    bootstrap_ratio,
    clustered_bootstrap,
    paired_bootstrap,
    two_level_paired_bootstrap,
)


def generator():
    return np.random.default_rng(7)


SAMPLE = np.random.default_rng(0).gamma(2.0, size=80)
OTHER = np.random.default_rng(1).gamma(2.2, size=80)


@pytest.mark.parametrize("method", ["percentile", "bca"])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_interval_of_a_mean_agrees_with_scipy(method, level):
    ours = bootstrap_mean(SAMPLE, generator(), 40_000, level, method)
    theirs = scipy.stats.bootstrap(
        (SAMPLE,),
        np.mean,
        n_resamples=40_000,
        confidence_level=level,
        method={"percentile": "percentile", "bca": "BCa"}[method],
        rng=np.random.default_rng(8),
    ).confidence_interval
    tolerance = 0.03 * (theirs.high - theirs.low)  # several Monte Carlo errors of a quantile of 40,000 draws
    assert ours.value == pytest.approx(SAMPLE.mean())
    assert ours.low == pytest.approx(theirs.low, abs=tolerance)
    assert ours.high == pytest.approx(theirs.high, abs=tolerance)
    assert ours.n == 80


def test_the_draws_are_means_of_resampled_prompts():
    # With two prompts the mean of a resample is one of three values, with chances 1/4, 1/2, 1/4.
    draws = []
    bootstrap_function([[0.0], [1.0]], lambda means: draws.append(means[:, 0]) or means[:, 0], generator(), 40_000)
    values, counts = np.unique(np.concatenate(draws[1:]), return_counts=True)
    assert values.tolist() == [0.0, 0.5, 1.0]
    np.testing.assert_allclose(counts / 40_000, [0.25, 0.5, 0.25], atol=0.015)


def test_many_prompts_are_drawn_in_blocks_of_the_same_kind():
    values = np.random.default_rng(2).normal(size=3_000_000)
    ours = bootstrap_mean(values, generator(), 5)
    assert abs(ours.low - ours.value) < 0.01
    assert ours.low < ours.high


def test_pairs_are_resampled_together():
    difference = paired_bootstrap(SAMPLE + 1, SAMPLE, generator())
    assert difference.value == pytest.approx(1)
    assert difference.low == pytest.approx(1)
    assert difference.excludes_zero
    assert paired_bootstrap(OTHER, SAMPLE, generator()) == bootstrap_mean(OTHER - SAMPLE, generator())


def test_a_ratio_is_of_means_not_a_mean_of_ratios():
    ours = bootstrap_ratio(SAMPLE, OTHER, generator(), 2_000)
    assert ours.value == pytest.approx(SAMPLE.mean() / OTHER.mean())
    assert ours.low < ours.value < ours.high
    assert math.isnan(bootstrap_ratio([1.0, 2.0], [0.0, 0.0], generator()).value)


def test_undefined_resamples_widen_the_interval_until_it_is_undefined():
    # One prompt of three carries the denominator: it is absent from (2/3)^3 = 30 % of the resamples.
    many = bootstrap_ratio([1.0, 1.0, 1.0], [0.0, 0.0, 3.0], generator(), 2_000)
    assert many.value == pytest.approx(1)
    assert math.isnan(many.low)
    # Absent from (7/8)^8 / ... of them where four of eight carry it: well below the tail.
    few = bootstrap_ratio(np.ones(8), [0.0] * 4 + [2.0] * 4, generator(), 2_000)
    assert few.low < 1 < few.high


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_borders(method):
    assert math.isnan(bootstrap_mean([], generator(), method=method).value)
    lone = bootstrap_mean([3.0], generator(), method=method)
    assert (lone.value, lone.n) == (3.0, 1)
    assert math.isnan(lone.low)
    assert not lone.excludes_zero
    constant = bootstrap_mean([2.0] * 5, generator(), 100, method=method)
    assert (constant.low, constant.high) == (2.0, 2.0)


@pytest.mark.parametrize("bad", [[1.0, math.nan], [1.0, math.inf], [[1.0], [2.0]]])
def test_values_without_a_mean_are_refused(bad):
    with pytest.raises(MetricError):
        bootstrap_mean(bad, generator())
    with pytest.raises(MetricError):
        paired_bootstrap(bad, [1.0, 2.0], generator())


@pytest.mark.parametrize("options", [{"level": 0.0}, {"level": 1.0}, {"level": 95}, {"resamples": 0}])
def test_options_without_meaning_are_refused(options):
    for call in (
        lambda: bootstrap_mean(SAMPLE, generator(), **options),
        lambda: two_level_paired_bootstrap([SAMPLE], [OTHER], generator(), **options),
        lambda: bootstrap_pass_at_k(4, [1, 2], [1], generator(), **options),
    ):
        with pytest.raises(MetricError):
            call()


def test_arms_over_other_prompts_are_refused():
    with pytest.raises(MetricError, match="same prompts"):
        paired_bootstrap([1.0, 2.0], [1.0], generator())
    with pytest.raises(MetricError):
        bootstrap_ratio([1.0, 2.0], [1.0], generator())
    with pytest.raises(MetricError):
        clustered_bootstrap([1.0, 2.0], ["a"], generator())
    with pytest.raises(MetricError):
        two_level_paired_bootstrap([[1.0, 2.0]], [[1.0], [2.0]], generator())
    with pytest.raises(MetricError, match="seeds, prompts"):
        two_level_paired_bootstrap([1.0, 2.0], [1.0, 2.0], generator())


def test_two_levels_with_one_seed_are_the_paired_bootstrap():
    ours = two_level_paired_bootstrap([OTHER], [SAMPLE], generator(), 40_000)
    one_level = paired_bootstrap(OTHER, SAMPLE, np.random.default_rng(9), 40_000)
    width = one_level.high - one_level.low
    assert ours.value == pytest.approx(one_level.value)
    assert ours.low == pytest.approx(one_level.low, abs=0.03 * width)
    assert ours.high == pytest.approx(one_level.high, abs=0.03 * width)


def test_spread_between_seeds_widens_the_interval():
    shift = np.array([[-1.0], [0.0], [1.0], [2.0], [-2.0]])
    noise = np.random.default_rng(3).normal(size=(5, 80))
    flat = two_level_paired_bootstrap(noise, np.zeros((5, 80)), generator())
    spread = two_level_paired_bootstrap(noise + shift, np.zeros((5, 80)), generator())
    # The variance of a mean over 5 seeds with population variance 2 is 0.4.
    assert spread.high - spread.low == pytest.approx(2 * 1.96 * math.sqrt(0.4), rel=0.15)
    assert flat.high - flat.low < 1
    assert spread.n == 80


def test_two_level_borders():
    assert math.isnan(two_level_paired_bootstrap(np.empty((0, 4)), np.empty((0, 4)), generator()).value)
    lone = two_level_paired_bootstrap([[1.0], [3.0]], [[0.0], [0.0]], generator())
    assert lone.value == 2.0
    assert math.isnan(lone.low)


def test_clusters_of_one_are_the_plain_bootstrap():
    ours = clustered_bootstrap(SAMPLE, np.arange(80), generator(), 2_000)
    plain = bootstrap_mean(SAMPLE, generator(), 2_000)
    assert ours.low == pytest.approx(plain.low)
    assert ours.high == pytest.approx(plain.high)


def test_copies_of_a_prompt_add_no_certainty():
    repeated = np.repeat(SAMPLE, 6)
    ours = clustered_bootstrap(repeated, np.repeat([f"passage {i}" for i in range(80)], 6), generator())
    plain = bootstrap_mean(SAMPLE, generator())
    assert ours.n == 80
    assert ours.high - ours.low == pytest.approx(plain.high - plain.low, rel=0.05)
    assert bootstrap_mean(repeated, generator()).high - ours.value < 0.6 * (ours.high - ours.value)


def test_equal_generators_give_equal_intervals():
    for call in (
        lambda rng: bootstrap_mean(SAMPLE, rng, 200),
        lambda rng: two_level_paired_bootstrap([SAMPLE, OTHER], [OTHER, SAMPLE], rng, 200),
        lambda rng: clustered_bootstrap(SAMPLE, np.arange(80) // 4, rng, 200),
    ):
        assert call(generator()) == call(generator())
        assert call(generator()) != call(np.random.default_rng(99))
