import math

import numpy as np
import pytest
from enumeration import checked, over_subsets, picked_quality
from hypothesis import given
from hypothesis import strategies as st

from polymlops.errors import MetricError
from polymlops.metrics.pass_at_k import max_at_k, pass_at_k
from polymlops.metrics.user_selection import selection_report, usq_at_k, within_prompt_correlation

# Few different selector values make ties the rule.
pairs = st.lists(st.tuples(st.floats(-100, 100), st.integers(0, 3)), min_size=1, max_size=7)
qualities = st.lists(st.floats(-100, 100) | st.integers(0, 2), min_size=1, max_size=7)


@checked
@given(pairs, st.integers(1, 8))
def test_it_equals_enumeration_with_random_tie_breaks(row, k):
    quality, selector = [q for q, _ in row], [float(s) for _, s in row]
    expected = over_subsets(row, k, picked_quality)
    assert usq_at_k([quality], [selector], k)[0] == pytest.approx(expected, rel=1e-12, abs=1e-10, nan_ok=True)


@checked
@given(qualities, st.lists(st.integers(1, 8), min_size=1, max_size=3))
def test_a_perfect_selector_gives_max_at_k(quality, ks):
    result, best = usq_at_k([quality], [quality], ks), max_at_k([quality], ks)
    np.testing.assert_allclose(result, best, rtol=1e-12, atol=1e-10)


@checked
@given(st.lists(st.booleans(), min_size=1, max_size=9), st.integers(1, 9))
def test_a_perfect_selector_of_outcomes_gives_pass_at_k(passed, k):
    row = [float(p) for p in passed]
    expected = pass_at_k(len(passed), sum(passed), k)
    assert usq_at_k([row], [row], k)[0] == pytest.approx(expected, abs=1e-12, nan_ok=True)


@checked
@given(pairs)
def test_one_candidate_gives_the_mean(row):
    quality, selector = [q for q, _ in row], [s for _, s in row]
    assert usq_at_k([quality], [selector], 1)[0] == pytest.approx(np.mean(quality), rel=1e-12, abs=1e-10)


@checked
@given(qualities, st.integers(1, 7))
def test_a_constant_selector_gives_the_mean_at_every_k(quality, k):
    expected = np.mean(quality) if k <= len(quality) else math.nan
    result = usq_at_k([quality], [[0.5] * len(quality)], k)[0]
    assert result == pytest.approx(expected, rel=1e-12, abs=1e-10, nan_ok=True)


def test_rows_of_unequal_length_keep_their_order():
    rng = np.random.default_rng(0)
    quality = [rng.normal(size=size) for size in (3, 5, 3, 1, 5)]
    selector = [rng.normal(size=len(row)) for row in quality]
    single = [usq_at_k([q], [s], 2)[0] for q, s in zip(quality, selector, strict=True)]
    np.testing.assert_allclose(usq_at_k(quality, selector, 2), single, rtol=1e-12)  # sums of other lengths may round


def test_ten_thousand_candidates_at_k_five_thousand():
    rank = np.arange(10_000.0)
    result = usq_at_k(rank[None] + 1, rank[None], [1, 5_000, 10_000])[0]
    np.testing.assert_allclose(result, [5_000.5, 5_000 * 10_001 / 5_001, 10_000], rtol=1e-12)


def test_an_infinite_selector_score_ranks_last():
    assert usq_at_k([[1.0, 5.0]], [[0.0, -math.inf]], 2)[0] == 1.0
    assert math.isnan(within_prompt_correlation([[1.0, 5.0]], [[0.0, -math.inf]])[0])


@pytest.mark.parametrize(
    ("quality", "selector"),
    [
        ([[1.0, math.nan]], [[1.0, 2.0]]),
        ([[1.0, math.inf]], [[1.0, 2.0]]),
        ([[1.0, 2.0]], [[1.0, math.nan]]),
        ([[1.0, 2.0]], [[1.0, 2.0, 3.0]]),
        ([[1.0, 2.0]], [[1.0, 2.0], [1.0, 2.0]]),
        ([[1.0], [1.0, 2.0]], [[1.0, 2.0], [1.0]]),
    ],
)
def test_what_cannot_be_ranked_is_refused(quality, selector):
    with pytest.raises(MetricError):
        usq_at_k(quality, selector, 1)


def test_the_report_is_made_of_the_estimators():
    rng = np.random.default_rng(1)
    quality = rng.normal(size=(20, 8))
    selector = quality + rng.normal(size=quality.shape)
    report = selection_report(quality, selector, [1, 4, 8])
    assert report.mean == pytest.approx(quality.mean())
    assert report.usq[4] == pytest.approx(usq_at_k(quality, selector, 4).mean())
    assert report.oracle[4] == pytest.approx(max_at_k(quality, 4).mean())
    assert report.selection_gain[4] == pytest.approx(report.usq[4] - report.mean)
    assert report.oracle_gain[4] == pytest.approx(report.oracle[4] - report.mean)
    assert report.efficiency[4] == pytest.approx(report.selection_gain[4] / report.oracle_gain[4])
    assert report.regret[4] == pytest.approx(report.oracle[4] - report.usq[4])
    assert math.isnan(report.efficiency[1])
    correlations = [np.corrcoef(q, s)[0, 1] for q, s in zip(quality, selector, strict=True)]
    assert report.correlation == pytest.approx(np.mean(correlations))
    assert (report.prompts, report.correlated_prompts) == (20, 20)


def test_efficiency_is_about_the_correlation_for_normal_scores():
    rng = np.random.default_rng(2)
    quality = rng.normal(size=(3_000, 20))
    selector = quality + rng.normal(size=quality.shape)
    report = selection_report(quality, selector, [2, 5, 10])
    for k in (2, 5, 10):
        assert report.efficiency[k] == pytest.approx(1 / math.sqrt(2), abs=0.02)


def test_constant_columns_are_undefined_and_counted():
    report = selection_report([[1.0, 1.0], [1.0, 2.0]], [[1.0, 2.0], [0.0, 0.0]], [2, 3])
    assert math.isnan(report.correlation)
    assert report.correlated_prompts == 0
    assert report.efficiency[2] == 0.0
    assert math.isnan(report.usq[3])


def test_no_prompt_is_refused():
    with pytest.raises(MetricError, match="prompt"):
        selection_report([], [], [1])
