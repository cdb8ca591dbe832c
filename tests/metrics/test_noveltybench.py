"""distinct_k and utility_k against hand computation, classes and thresholds against brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polymlops.errors import MetricError
from polymlops.metrics.noveltybench import calibrate_threshold, distinct_k, equivalence_classes, similar, utility_k
from polymlops.metrics.semantic import distinct_at_k


def test_known_answers_have_their_known_counts_and_worth():
    labels, utility = [0, 0, 1, 2], [1.0, 0.9, 0.5, 0.25]
    assert [distinct_k(labels, k) for k in (1, 2, 3, 4)] == [1, 1, 2, 3]
    assert math.isnan(distinct_k(labels, 5))
    assert utility_k(labels, utility, 1) == pytest.approx(1.0)
    # weights .8^(i-1): the second repeats and is worth nothing, whatever its quality
    expected = (1 + 0.64 * 0.5 + 0.512 * 0.25) * 0.2 / (1 - 0.8**4)
    assert utility_k(labels, utility, 4) == pytest.approx(expected)
    assert expected == pytest.approx(0.4905149051)
    assert math.isnan(utility_k(labels, utility, 5))


def test_a_user_who_sees_only_new_and_perfect_texts_gets_1():
    assert utility_k(range(7), [1.0] * 7, 7, 0.3) == pytest.approx(1.0)


def test_a_missing_utility_counts_only_where_it_is_needed():
    assert utility_k([0, 0], [1.0, math.nan], 2) == pytest.approx(0.2 / (1 - 0.64))
    assert math.isnan(utility_k([0, 1], [1.0, math.nan], 2))


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=7), st.integers(0, 10**6))
def test_the_mean_over_orders_is_the_expectation_over_subsets(labels, seed):
    k = 1 + seed % len(labels)
    rng = np.random.default_rng(seed)
    drawn = [distinct_k(rng.permutation(labels), k) for _ in range(300)]
    expected = float(distinct_at_k([labels], k)[0])
    assert np.mean(drawn) == pytest.approx(expected, abs=5 * (np.std(drawn) + 0.02) / math.sqrt(300))


@settings(deadline=None)
@given(st.integers(0, 8), st.integers(0, 10**6))
def test_classes_follow_their_first_members(count, seed):
    upper = np.triu(np.random.default_rng(seed).random((count, count)) < 0.3, 1)
    same = upper | upper.T | np.eye(count, dtype=bool)
    groups: list[list[int]] = []
    for candidate in range(count):
        home = next((group for group in groups if same[group[0], candidate]), None)
        if home is None:
            groups.append([candidate])
        else:
            home.append(candidate)
    labels = equivalence_classes(same)
    assert [sorted(np.flatnonzero(labels == i)) for i in range(len(groups))] == groups


def test_classes_do_not_chain():
    chain = np.array([[True, True, False], [True, True, True], [False, True, True]])
    assert equivalence_classes(chain).tolist() == [0, 0, 1]


def test_similar_texts_are_those_of_a_small_angle_and_empty_ones_are_alike():
    embeddings = np.array([[1.0, 0.0], [2.0, 0.2], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    same = similar(embeddings, 0.9)
    assert equivalence_classes(same).tolist() == [0, 0, 1, 2, 2]
    assert similar(embeddings, -1.0)[3].tolist() == [False, False, False, True, True]
    assert similar(np.array([[0.3, 0.1]]), 1.0).tolist() == [[True]]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=12))
def test_no_other_threshold_separates_better(pairs):
    values, labels = np.array([v / 5 for v, _ in pairs]), np.array([label for _, label in pairs])
    if labels.all() or not labels.any():
        with pytest.raises(MetricError, match="some of each kind"):
            calibrate_threshold(values, labels)
        return

    def accuracy(threshold):
        said = values >= threshold
        return (said[labels].mean() + (~said[~labels]).mean()) / 2

    fit = calibrate_threshold(values, labels)
    assert fit.balanced_accuracy == pytest.approx(accuracy(fit.threshold))
    assert fit.balanced_accuracy == pytest.approx(max(map(accuracy, np.linspace(-1.3, 1.3, 53))))
    assert (fit.equivalent, fit.different) == (labels.sum(), (~labels).sum())


def test_the_threshold_lies_in_the_middle_of_the_gap():
    fit = calibrate_threshold([0.1, 0.2, 0.8, 0.9], [False, False, True, True])
    assert fit.threshold == pytest.approx(0.5)
    assert fit.balanced_accuracy == 1.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: distinct_k([0], 0),
        lambda: utility_k([0], [1.0], 1, 1.0),
        lambda: utility_k([0], [1.0, 0.5], 1),
        lambda: equivalence_classes(np.ones((2, 3), dtype=bool)),
        lambda: equivalence_classes(np.array([[True, True], [False, True]])),
        lambda: similar([1.0, 2.0], 0.5),
        lambda: similar([[math.nan, 1.0]], 0.5),
        lambda: calibrate_threshold([0.1], [True, False]),
    ],
)
def test_meaningless_arguments_are_refused(call):
    with pytest.raises(MetricError):
        call()
