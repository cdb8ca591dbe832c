"""Agreement against published worked examples, against sklearn, and against enumeration of all pairs of ratings."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from polymlops.errors import MetricError
from polymlops.metrics.agreement import agreement, cohen_kappa, krippendorff_alpha

X = math.nan
# Krippendorff 2011, section C: four observers, twelve units, and the values printed there.
FOUR = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, X, X, X],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, X, 3],
    [X, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, X],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, X],
]
# The worked example of three coders and fifteen units in Wikipedia's article on the coefficient.
THREE = [
    [X, X, X, X, X, 3, 4, 1, 2, 1, 1, 3, 3, X, 3],
    [1, X, 2, 1, 3, 3, 4, 3, X, X, X, X, X, X, X],
    [X, X, 2, 1, 3, 4, 4, X, 2, 1, 1, 3, 3, X, 4],
]
SCORES = st.integers(1, 10)
RATING = st.none() | st.integers(1, 4)


def alpha_by_pairs(ratings_JP, level):
    """Alpha from every ordered pair of ratings, without a table."""
    items = [[v for v in column if not math.isnan(v)] for column in np.asarray(ratings_JP, dtype=float).T]
    items = [values for values in items if len(values) > 1]
    everything = [value for values in items for value in values]

    def distance(a, b):
        if level == "nominal":
            return float(a != b)
        if level == "interval":
            return (a - b) ** 2
        low, high = min(a, b), max(a, b)
        between = sum(low <= value <= high for value in everything)
        return (between - (everything.count(a) + everything.count(b)) / 2) ** 2

    observed = sum(distance(a, b) / (len(values) - 1) for values in items for a, b in permutations(values, 2))
    chance = sum(distance(a, b) for a, b in permutations(everything, 2)) / max(1, len(everything) - 1)
    return 1 - observed / chance if chance else math.nan


@pytest.mark.parametrize(
    ("ratings", "level", "published"),
    [
        (FOUR, "nominal", 0.743),
        (FOUR, "ordinal", 0.815),
        (FOUR, "interval", 0.849),
        (THREE, "nominal", 0.691),
        (THREE, "interval", 0.811),
    ],
)
def test_alpha_is_what_was_published(ratings, level, published):
    assert krippendorff_alpha(ratings, level) == pytest.approx(published, abs=5e-4)


@pytest.mark.parametrize(
    ("table", "published"), [([20, 5, 10, 15], 0.4), ([45, 15, 25, 15], 0.1304), ([25, 35, 5, 35], 0.2593)]
)
def test_kappa_is_what_was_published(table, published):
    """The two-by-two examples of Wikipedia's article: both yes, first yes, second yes, both no."""
    a = np.repeat([1, 1, 0, 0], table)
    b = np.repeat([1, 0, 1, 0], table)
    assert cohen_kappa(a, b) == pytest.approx(published, abs=5e-5)


@given(st.lists(st.lists(RATING, min_size=6, max_size=6), min_size=2, max_size=4))
def test_alpha_is_the_enumeration_of_all_pairs(rows):
    ratings = [[X if value is None else value for value in row] for row in rows]
    for level in ("nominal", "ordinal", "interval"):
        np.testing.assert_allclose(krippendorff_alpha(ratings, level), alpha_by_pairs(ratings, level), atol=1e-12)


@given(st.lists(st.tuples(SCORES, SCORES), min_size=2, max_size=40))
def test_kappa_is_sklearns(pairs):
    a, b = np.array(pairs).T
    if len(set(a) | set(b)) == 1:
        assert math.isnan(cohen_kappa(a, b))
        assert math.isnan(cohen_kappa(a, b, "quadratic"))
        return
    scale = range(1, 11)  # the values themselves are the distances, whichever of them occur
    assert cohen_kappa(a, b) == pytest.approx(cohen_kappa_score(a, b), abs=1e-12)
    theirs = cohen_kappa_score(a, b, labels=scale, weights="quadratic")
    assert cohen_kappa(a, b, "quadratic") == pytest.approx(theirs, abs=1e-12)


def test_an_item_that_one_judge_left_out_does_not_count():
    a, b = [1, 2, 3, 3, X, 5], [1, 2, 2, 3, 4, X]
    assert cohen_kappa(a, b) == cohen_kappa(a[:4], b[:4])
    found = agreement(a, b, np.random.default_rng(0), 200)
    assert (found.items, found.missing) == (4, 2)
    assert found.kappa.n == 4


def test_full_agreement_is_one_and_undefined_is_nan():
    for level in ("nominal", "ordinal", "interval"):
        assert krippendorff_alpha([[1, 2, 3]] * 2, level) == 1
        assert math.isnan(krippendorff_alpha([[2, 2, 2]] * 2, level))
        assert math.isnan(krippendorff_alpha([[1, X], [X, 1]], level))
        assert math.isnan(krippendorff_alpha([[], []], level))
    assert cohen_kappa([1, 2, 3], [1, 2, 3]) == 1
    assert math.isnan(cohen_kappa([], []))


def test_the_estimates_are_the_coefficients_with_intervals_around_them():
    rng = np.random.default_rng(5)
    a = rng.integers(1, 11, 120)
    b = np.clip(a + rng.integers(-2, 3, 120), 1, 10)
    found = agreement(a, b, np.random.default_rng(1), 2000)
    expected = {
        "kappa": cohen_kappa(a, b),
        "quadratic_kappa": cohen_kappa(a, b, "quadratic"),
        "alpha_nominal": krippendorff_alpha([a, b], "nominal"),
        "alpha_ordinal": krippendorff_alpha([a, b], "ordinal"),
        "alpha_interval": krippendorff_alpha([a, b], "interval"),
    }
    for name, value in expected.items():
        estimate = getattr(found, name)
        assert estimate.value == pytest.approx(value)
        assert estimate.low < value < estimate.high
        assert estimate.n == 120


def test_the_interval_is_that_of_resampled_items():
    rng = np.random.default_rng(2)
    a, b = rng.integers(1, 4, 40), rng.integers(1, 4, 40)
    b[:25] = a[:25]
    found = agreement(a, b, np.random.default_rng(3), 4000).alpha_ordinal
    draws = []
    for _ in range(4000):
        rows = rng.integers(0, 40, 40)
        draws.append(krippendorff_alpha([a[rows], b[rows]], "ordinal"))
    np.testing.assert_allclose([found.low, found.high], np.quantile(draws, [0.025, 0.975]), atol=0.03)


def test_items_of_a_cluster_are_drawn_together():
    rng = np.random.default_rng(4)
    a = rng.integers(1, 6, 30)
    b = np.where(rng.random(30) < 0.6, a, rng.integers(1, 6, 30))
    alone = agreement(a, b, np.random.default_rng(0), 4000)
    # Every item eight times over is no more evidence than once, if the copies hang together.
    copies = [np.repeat(values, 8) for values in (a, b)]
    together = agreement(*copies, np.random.default_rng(0), 4000, clusters_P=np.repeat(np.arange(30), 8).tolist())
    apart = agreement(*copies, np.random.default_rng(0), 4000)
    for name in ("kappa", "quadratic_kappa"):
        one, many, narrow = (getattr(found, name) for found in (alone, together, apart))
        assert many.value == pytest.approx(one.value)
        assert many.high - many.low == pytest.approx(one.high - one.low, rel=0.1)
        assert narrow.high - narrow.low < 0.6 * (one.high - one.low)
    assert (together.kappa.n, together.items) == (30, 240)
    assert together.alpha_ordinal.value == pytest.approx(krippendorff_alpha(copies, "ordinal"))
    with pytest.raises(MetricError, match="3 clusters for 30 items"):
        agreement(a, b, rng, 10, clusters_P=["x"] * 3)


def test_a_cluster_without_any_rating_is_none():
    found = agreement([1, 2, X, X], [1, 2, 3, X], np.random.default_rng(0), 50, clusters_P=["a", "b", "c", "c"])
    assert (found.kappa.n, found.items, found.missing) == (2, 2, 2)
    assert agreement([X], [1], np.random.default_rng(0), 50).items == 0


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([1, 2], [1], "different lengths"),
        ([1, math.inf], [1, 2], "infinite"),
        (np.arange(70) / 7, np.arange(70) / 7, "70 different values"),
        ([[1]], [[1]], "judges, items"),
    ],
)
def test_what_has_no_meaning_is_refused(a, b, message):
    with pytest.raises(MetricError, match=message):
        cohen_kappa(a, b)
