import itertools
import math

import numpy as np
import pytest

from polymlops.analysis.theory import (
    TheoryReport,
    best_of_n_distribution,
    check_best_of_n_kl,
    check_der_bounds,
    predict_pass_at_k,
)
from polymlops.errors import MetricError
from polymlops.metrics.pass_at_k import pass_at_k_curve


def enumerated_best(probabilities, scores, n):
    """Best of n by going through every way to draw n outcomes; ties split among the drawn copies."""
    best = np.zeros(len(probabilities))
    for draw in itertools.product(range(len(probabilities)), repeat=n):
        top = max(scores[y] for y in draw)
        winners = [y for y in draw if scores[y] == top]
        for y in winners:
            best[y] += math.prod(probabilities[z] for z in draw) / len(winners)
    return best


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("scores", [[1, 2, 3, 4], [3, 1, 1, 2], [0, 0, 0, 0], [5, 5, 1, 5]])
def test_the_best_of_n_is_that_of_enumeration(scores, n):
    probabilities = [0.1, 0.4, 0.3, 0.2]
    expected = enumerated_best(probabilities, scores, n)
    found = best_of_n_distribution(probabilities, scores, n)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    (prediction,) = check_best_of_n_kl(probabilities, scores, [n])
    assert prediction.measured == pytest.approx(float(np.sum(expected * np.log(expected / probabilities))), abs=1e-12)
    assert prediction.predicted.value == pytest.approx(math.log(n) - (n - 1) / n)
    assert prediction.measured <= prediction.predicted.value + 1e-12


def test_the_formula_is_tight_for_a_broad_policy_and_loose_for_a_collapsed_one():
    broad = check_best_of_n_kl(np.full(100_000, 1e-5), np.arange(100_000), [1, 4, 16])
    assert [prediction.holds for prediction in broad] == [True, True, True]
    assert broad[2].measured == pytest.approx(broad[2].predicted.value, rel=1e-2)
    (collapsed,) = check_best_of_n_kl([0.9, 0.05, 0.05], [3, 2, 1], [16])
    assert collapsed.holds is False
    assert collapsed.residual.value < -1
    assert "likeliest outcome has probability 0.9" in collapsed.reason


def test_the_measured_kl_is_that_of_sampled_choices():
    rng = np.random.default_rng(0)
    policy, scores, n = rng.dirichlet(np.ones(6)), rng.permutation(6), 3
    draws = rng.choice(6, size=(200_000, n), p=policy)
    chosen = np.bincount(draws[np.arange(len(draws)), scores[draws].argmax(axis=1)], minlength=6) / len(draws)
    kept = chosen > 0
    sampled = float(np.sum(chosen[kept] * np.log(chosen[kept] / policy[kept])))
    (prediction,) = check_best_of_n_kl(policy, scores, [n])
    assert prediction.measured == pytest.approx(sampled, abs=0.01)


def test_outcomes_that_cannot_happen_are_never_chosen():
    assert best_of_n_distribution([0.5, 0.5, 0.0], [1, 2, 3], 4).tolist() == [0.5**4, 1 - 0.5**4, 0]


@pytest.mark.parametrize(
    ("probabilities", "scores"),
    [([0.5, 0.4], [1, 2]), ([1.2, -0.2], [1, 2]), ([1.0], [1, 2]), ([], []), ([0.5, math.nan], [1, 2])],
)
def test_probabilities_that_are_none_are_refused(probabilities, scores):
    with pytest.raises(MetricError):
        check_best_of_n_kl(probabilities, scores, [2])


def test_every_curve_of_one_sample_set_lies_within_the_bounds_of_der():
    rng = np.random.default_rng(1)
    for _ in range(30):
        curve = pass_at_k_curve(12, rng.integers(0, 13, 8), range(1, 13))
        for prediction in check_der_bounds(curve):
            assert prediction.holds is True
            assert prediction.predicted.low - 1e-12 <= prediction.measured <= prediction.predicted.high + 1e-12


def test_a_curve_of_mixed_sample_sets_is_caught():
    one, two, three = check_der_bounds({1: 0.1, 2: 0.3, 3: 0.05})
    assert (one.holds, two.holds, three.holds) == (True, False, False)
    assert two.residual.value == pytest.approx(0.5)
    assert three.residual.value == pytest.approx(0.05 / 0.3 - 1 / 3)
    assert "not of one sample set" in two.reason


def test_no_pass_leaves_der_undefined():
    assert [p.holds for p in check_der_bounds({1: 0.0, 2: 0.0})] == [None, None]


def test_a_report_lists_rows_and_failures():
    rng = np.random.default_rng(0)
    predictions = (
        *check_der_bounds({1: 0.1, 2: 0.3}),
        *predict_pass_at_k(8, rng.integers(0, 9, 20), [4], rng, resamples=5),
        *check_best_of_n_kl([0.5, 0.5], [0, 1], [2]),
    )
    report = TheoryReport("baseline", predictions)
    assert [row["theory"] for row in report.rows()] == [p.theory for p in predictions]
    assert {row["arm"] for row in report.rows()} == {"baseline"}
    assert report.failures[0].at == 2
    assert all(prediction.holds is False for prediction in report.failures)
