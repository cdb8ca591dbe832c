import numpy as np
import pytest

from polymlops.analysis.lora_factors import LowRank
from polymlops.analysis.lora_intruders import IntruderSettings, find_intruders, leading_left_vectors, left_vectors
from polymlops.errors import MetricError

SHAPES = [(20, 30), (30, 20), (25, 25), (300, 420), (420, 300)]


def matrix(shape, seed=0):
    """A matrix whose singular values are well apart, so that its vectors are unique."""
    rng = np.random.default_rng([seed, *shape])
    small = min(shape)
    u, v = (np.linalg.qr(rng.normal(size=(side, small)))[0] for side in shape)
    return (u * np.linspace(2, 1, small)) @ v.T


def low_rank(shape, size, seed=1):
    rng = np.random.default_rng(seed)
    left, right = rng.normal(size=(shape[0], 3)), rng.normal(size=(3, shape[1]))
    return LowRank(size * left / np.linalg.norm(left), right / np.linalg.norm(right))


@pytest.mark.parametrize("size", [0.3, 20.0])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_similarities_are_those_of_the_dense_decompositions(shape, size):
    weight, change = matrix(shape), low_rank(shape, size)
    before = np.linalg.svd(weight, full_matrices=False)[0]
    after = np.linalg.svd(weight + change.left @ change.right, full_matrices=False)[0]
    expected = np.abs(before.T @ after[:, :10]).max(axis=0)
    found = find_intruders(weight, change)
    np.testing.assert_allclose(found.similarity, expected, atol=1e-6)
    assert found.count == (expected < 0.5).sum()


def test_no_change_has_no_intruder_and_a_large_one_brings_its_own_directions():
    weight = matrix((40, 60))
    still = LowRank(np.zeros((40, 1)), np.zeros((1, 60)))
    assert find_intruders(weight, still).similarity == pytest.approx((1,) * 10)
    assert find_intruders(weight, low_rank((40, 60), 50.0), IntruderSettings(examined=3)).count == 3


def test_only_leading_directions_are_examined_and_epsilon_is_used():
    weight, change = matrix((40, 60)), low_rank((40, 60), 3.0)
    found = find_intruders(weight, change, IntruderSettings(examined=6, epsilon=0.99))
    assert len(found.similarity) == 6
    assert found.count == sum(value < 0.99 for value in found.similarity) > 0


def test_lanczos_finds_what_the_svd_finds():
    weight, change = matrix((300, 420)), low_rank((300, 420), 1.0)
    expected = np.linalg.svd(weight + change.left @ change.right)[0][:, :5]
    found = leading_left_vectors(weight, change, 5)
    np.testing.assert_allclose(np.abs(np.sum(found * expected, axis=0)), 1, atol=1e-8)


def test_a_base_without_full_rank_has_only_the_directions_that_it_has():
    tall = np.zeros((6, 3))
    tall[0, 0], tall[1, 1] = 2.0, 1.0
    vectors = left_vectors(tall)
    np.testing.assert_allclose(np.sort(np.abs(vectors).argmax(axis=0)), [0, 1])
    assert left_vectors(np.zeros((4, 2))).shape == (4, 0)


@pytest.mark.parametrize(
    "settings", [IntruderSettings(examined=0), IntruderSettings(epsilon=0), IntruderSettings(epsilon=2)]
)
def test_settings_without_meaning_are_refused(settings):
    with pytest.raises(MetricError, match="epsilon"):
        find_intruders(matrix((4, 5)), low_rank((4, 5), 1.0), settings)
