import math
import warnings

import numpy as np
import pytest
from enumeration import checked, over_subsets
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from polymlops.errors import MetricError
from polymlops.metrics.semantic import distinct_at_k, mean_pairwise_distance, vendi_score

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # vendi_score reaches for a namespace that scipy renamed
    from vendi_score import vendi

embeddings = st.tuples(st.integers(2, 8), st.integers(1, 8)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.floats(-10, 10).filter(lambda x: abs(x) > 0.01))
)
labels = st.lists(st.integers(0, 3), min_size=1, max_size=7)


@checked
@given(embeddings)
def test_distance_equals_the_mean_over_pairs(embeddings_KD):
    unit = embeddings_KD / np.linalg.norm(embeddings_KD, axis=1, keepdims=True)
    pairs = [1 - unit[i] @ unit[j] for i in range(len(unit)) for j in range(i + 1, len(unit))]
    assert mean_pairwise_distance(embeddings_KD) == pytest.approx(np.mean(pairs), rel=1e-9, abs=1e-12)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the namespace that vendi_score reaches for
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (32, 384), (100, 20), (1, 4)])
@pytest.mark.parametrize("q", [1, 0.5, 3, "inf"])
def test_vendi_score_equals_the_reference(shape, q):
    X = np.random.default_rng(0).normal(size=shape)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    # The reference keeps rounding errors of zero eigenvalues: small orders q would count them.
    kernel = unit @ unit.T
    expected = vendi.score_K(kernel, q=q) if q != 0.5 or shape[0] <= shape[1] else spectrum_power(kernel, q)
    assert vendi_score(X, math.inf if q == "inf" else q) == pytest.approx(expected, rel=1e-9)
    if q == 1:
        assert vendi_score(X) == pytest.approx(vendi.score_X(X), rel=1e-9)
        assert vendi_score(X) == pytest.approx(vendi.score_dual(X), rel=1e-9)


def spectrum_power(kernel, q):
    values = np.linalg.eigvalsh(kernel / len(kernel))
    return (values[values > 1e-12] ** q).sum() ** (1 / (1 - q))


@checked
@given(embeddings, st.floats(0.2, 0.9) | st.floats(1.1, 5))
def test_vendi_score_lies_between_one_and_k_and_falls_with_q(embeddings_KD, q):
    value = vendi_score(embeddings_KD, q)
    assert 1 - 1e-9 <= value <= len(embeddings_KD) + 1e-9
    assert vendi_score(embeddings_KD, q + 0.5) <= value + 1e-9


def test_vendi_score_counts_groups():
    groups = np.repeat(np.eye(4), 3, axis=0)
    for q in (0, 0.5, 1, 2, 3, math.inf):
        assert vendi_score(groups, q) == pytest.approx(4)
    assert vendi_score(np.eye(5)) == pytest.approx(5)
    assert vendi_score(np.ones((6, 3))) == pytest.approx(1)
    assert vendi_score(np.random.default_rng(0).normal(size=(9, 4)), 2) == pytest.approx(
        vendi_score(np.random.default_rng(0).normal(size=(9, 4)), 2 + 1e-9), rel=1e-6
    )


@pytest.mark.parametrize("metric", [mean_pairwise_distance, vendi_score])
@pytest.mark.parametrize("shape", [(3, 7), (7, 3)])
def test_the_scale_of_an_embedding_does_not_matter(metric, shape):
    X = np.random.default_rng(1).normal(size=shape)
    scale = 10.0 ** np.linspace(-250, 250, shape[0])[:, None]
    assert metric(X * scale) == pytest.approx(metric(X), rel=1e-9)
    assert metric(X.astype(np.float32)) == pytest.approx(metric(X), rel=1e-5)


@pytest.mark.parametrize("metric", [mean_pairwise_distance, vendi_score])
def test_borders(metric):
    assert math.isnan(metric(np.empty((0, 4))))
    assert math.isnan(metric([]))
    assert math.isnan(metric([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    assert math.isnan(metric([[1.0], [0.0], [1.0]]))
    for bad in (
        [[1.0, math.nan], [1.0, 0.0]],
        [[1.0, 0.0], [math.inf, 1.0], [1.0, 1.0]],
        [1.0, 2.0],
        np.ones((2, 2, 2)),
    ):
        with pytest.raises(MetricError):
            metric(bad)


def test_distance_of_one_or_of_equal_candidates():
    assert math.isnan(mean_pairwise_distance([[1.0, 2.0]]))
    assert mean_pairwise_distance([[0.1, 0.7]] * 9) == pytest.approx(0, abs=1e-15)
    assert mean_pairwise_distance([[1.0, 0.0], [-1.0, 0.0]]) == pytest.approx(2)
    assert vendi_score([[3.0, 4.0]]) == pytest.approx(1)


@pytest.mark.parametrize("q", [-1, math.nan])
def test_orders_without_meaning_are_refused(q):
    with pytest.raises(MetricError):
        vendi_score(np.eye(2), q)


@checked
@given(labels, st.integers(1, 8))
def test_distinct_at_k_equals_enumeration(row, k):
    expected = over_subsets(row, k, lambda subset: len(set(subset)))
    assert distinct_at_k([row], k)[0] == pytest.approx(expected, rel=1e-12, nan_ok=True)
    named = distinct_at_k([[f"cluster {label}" for label in row]], k)[0]
    assert named == pytest.approx(expected, rel=1e-12, nan_ok=True)


@checked
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=7), st.integers(1, 8))
def test_gated_distinct_at_k_counts_passing_members_only(row, k):
    expected = over_subsets(row, k, lambda subset: len({label for label, passed in subset if passed}))
    result = distinct_at_k([[label for label, _ in row]], k, [[passed for _, passed in row]])[0]
    assert result == pytest.approx(expected, rel=1e-12, nan_ok=True)


def test_distinct_at_k_keeps_order_and_shape():
    rows = [[1, 1, 2], [1, 2], [3, 3, 3]]
    np.testing.assert_allclose(distinct_at_k(rows, [1, 2, 3]), [[1, 5 / 3, 2], [1, 2, math.nan], [1, 1, 1]])


@pytest.mark.parametrize(
    ("rows", "passed"),
    [([[1, 2]], [[True]]), ([[1, 2]], [[0.5, 1]]), ([[1.0, math.nan]], None), ([1, 2], None)],
)
def test_labels_without_meaning_are_refused(rows, passed):
    with pytest.raises(MetricError):
        distinct_at_k(rows, 1, passed)
