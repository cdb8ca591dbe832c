import math

import numpy as np
import pytest

from polymlops.analysis.lora_factors import (
    LowRank,
    cosine,
    decompose,
    difference,
    effective_rank,
    energy_rank,
    inner_product,
    stable_rank,
    subspace_overlap,
)
from polymlops.errors import MetricError

SHAPES = [
    (40, 60, 4),
    (60, 40, 4),
    (7, 7, 7),
    (5, 50, 16),
    (50, 5, 16),
    (3, 4, 9),
    (30, 20, 1),
    (1, 9, 2),
    (200, 90, 32),
]
KINDS = ["full", "deficient", "zero_b", "graded", "equal_columns"]


def product(shape, kind="full", seed=0):
    out, inputs, rank = shape
    rng = np.random.default_rng([seed, *shape])
    left, right = rng.normal(size=(out, rank)), rng.normal(size=(rank, inputs))
    if kind == "deficient":
        left[:, rank // 2 :] = left[:, :1]
    elif kind == "zero_b":
        left[:] = 0
    elif kind == "graded":
        left *= 10.0 ** -np.linspace(0, 6, rank)  # further down the dense matrix itself has lost the directions
    elif kind == "equal_columns":
        left[:] = left[:, :1]
    return LowRank(0.5 * left, right)


def dense(low_rank):
    return low_rank.left @ low_rank.right


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_singular_values_and_vectors_are_those_of_the_dense_svd(shape, kind):
    factors = product(shape, kind)
    found, whole = decompose(factors), dense(factors)
    expected = np.linalg.svd(whole, compute_uv=False)[: len(found.values)]
    assert len(found.values) == min(shape)
    np.testing.assert_allclose(found.values, expected, rtol=0, atol=1e-6 * max(expected[0], 1e-300))
    assert found.rank == np.linalg.matrix_rank(whole)
    rebuilt = found.left @ np.diag(found.values[: found.rank]) @ found.right.T
    np.testing.assert_allclose(rebuilt, whole, rtol=0, atol=1e-10)
    for basis in (found.left, found.right):
        np.testing.assert_allclose(basis.T @ basis, np.eye(found.rank), atol=1e-10)


@pytest.mark.parametrize("kinds", [("full", "full"), ("full", "deficient"), ("graded", "equal_columns")])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products_of_two_changes_are_those_of_the_dense_matrices(shape, kinds):
    a, b = product(shape, kinds[0], 1), product((*shape[:2], shape[2] + 2), kinds[1], 2)
    whole_a, whole_b = dense(a), dense(b)
    assert inner_product(a, b) == pytest.approx(np.sum(whole_a * whole_b), rel=1e-9, abs=1e-9)
    expected = np.sum(whole_a * whole_b) / np.linalg.norm(whole_a) / np.linalg.norm(whole_b)
    assert cosine(a, b) == pytest.approx(expected, abs=1e-9)
    np.testing.assert_allclose(dense(difference(a, b)), whole_a - whole_b, atol=1e-12)
    parts_a, parts_b = decompose(a), decompose(b)
    for side, of in (("left", 0), ("right", 1)):
        bases = []
        for whole in (whole_a, whole_b):
            u, _, vt = np.linalg.svd(whole, full_matrices=False)
            rank = np.linalg.matrix_rank(whole)
            bases.append((u[:, :rank], vt[:rank].T)[of])
        expected = np.linalg.norm(bases[0].T @ bases[1]) ** 2 / min(base.shape[1] for base in bases)
        assert subspace_overlap(getattr(parts_a, side), getattr(parts_b, side)) == pytest.approx(expected, abs=1e-6)


def test_a_small_step_between_large_changes_keeps_its_digits():
    a = product((300, 200, 8))
    nudge = product((300, 200, 1), seed=5)
    b = LowRank(np.hstack([a.left, 1e-9 * nudge.left]), np.vstack([a.right, nudge.right]))
    step = np.linalg.norm(decompose(difference(b, a)).values)
    assert step == pytest.approx(1e-9 * np.linalg.norm(dense(nudge)), rel=1e-5)


def test_overlap_is_1_for_the_same_space_0_for_a_complement_and_small_by_chance():
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(400, 12)))[0]
    rotated = basis[:, :4] @ np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0]
    assert subspace_overlap(basis[:, :4], rotated) == pytest.approx(1)
    assert subspace_overlap(basis[:, :4], basis[:, 4:]) == pytest.approx(0, abs=1e-12)
    assert subspace_overlap(basis[:, :2], basis) == pytest.approx(1)
    rng = np.random.default_rng(2)
    draws = [subspace_overlap(*(np.linalg.qr(rng.normal(size=(100, rank)))[0] for rank in (5, 10))) for _ in range(300)]
    assert np.mean(draws) == pytest.approx(10 / 100, rel=0.05)


def test_nothing_learned_is_undefined_and_not_zero():
    zero = product((6, 5, 2), "zero_b")
    parts = decompose(zero)
    assert parts.values.tolist() == [0, 0]
    assert parts.rank == 0
    assert math.isnan(effective_rank(parts.values))
    assert math.isnan(stable_rank(parts.values))
    assert math.isnan(cosine(zero, product((6, 5, 2))))
    assert math.isnan(subspace_overlap(parts.left, decompose(product((6, 5, 2))).left))
    assert energy_rank(parts.values) == 0


@pytest.mark.parametrize(
    ("values", "effective", "stable", "kept"),
    [([3, 0, 0], 1, 1, 1), ([2, 2, 2, 2], 4, 4, 4), ([10, 1, 0], None, 1.01, 1), ([10, 1.1], None, 1.0121, 2)],
)
def test_ranks_of_known_spectra(values, effective, stable, kept):
    values = np.array(values, float)
    assert stable_rank(values) == pytest.approx(stable)
    assert energy_rank(values) == kept
    shares = values[values > 0] / values.sum()
    expected = math.exp(-sum(share * math.log(share) for share in shares))
    assert effective_rank(values) == pytest.approx(expected if effective is None else effective)


def test_all_of_the_energy_needs_the_numerical_rank():
    values = decompose(product((40, 60, 9), "deficient")).values
    assert energy_rank(values, 1.0) == np.count_nonzero(values)


def test_rounding_of_the_sum_asks_for_no_more_rank_than_there_is():
    rng = np.random.default_rng(0)
    for _ in range(200):
        values = np.sort(rng.exponential(size=32))[::-1]
        assert energy_rank(values, 1.0) <= 32


@pytest.mark.parametrize("energy", [0, -1, 1.5, math.nan])
def test_an_energy_that_is_no_share_is_refused(energy):
    with pytest.raises(MetricError, match="energy"):
        energy_rank(np.ones(3), energy)
