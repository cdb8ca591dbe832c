"""Diversity of meaning: distances between embeddings, and counts of distinct clusters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polymlops.errors import MetricError
from polymlops.metrics.arrays import Floats, Ints, Rows, blocks, candidate_counts, finite, paired_blocks
from polymlops.metrics.pass_at_k import Ks, pass_at_k

EPSILON = float(np.finfo(np.float64).eps)


def mean_pairwise_distance(embeddings_KD: ArrayLike) -> float:
    """Mean of 1 - cosine over all pairs of candidates, in [0, 2]; NaN below two, or where an embedding is 0.

    Closed form for unit vectors u: (K^2 - |sum u|^2) / (K (K - 1)), linear in K.

    Raises: MetricError for NaN, infinite values, or other than two axes.
    """
    unit_KD = _unit(embeddings_KD)
    candidates = len(unit_KD)
    if candidates < 2 or np.isnan(unit_KD[0, 0]):
        return math.nan
    # einsum instead of K: rounded unit vectors have squared length 1 only to the last digit.
    total_D = unit_KD.sum(axis=0)
    cosine_sum = float(total_D @ total_D) - float(np.einsum("kd,kd->", unit_KD, unit_KD))
    return max(0.0, 1.0 - cosine_sum / (candidates * (candidates - 1)))


def vendi_score(embeddings_KD: ArrayLike, q: float = 1.0) -> float:
    """Effective number of distinct candidates, 1 to K: the exponential of the order-q entropy of the kernel's spectrum.

    The kernel is the cosine. It depends on K: compare at equal K. `q` in [0, inf]: 0 counts dimensions, large q looks
    at the commonest only. NaN without candidates, or where an embedding is 0.

    Raises: MetricError for NaN in the embeddings, or q below 0.
    Source: Friedman & Dieng 2023, arXiv:2210.02410, eq. 1; order q: Pasarkar & Dieng 2023, arXiv:2310.12952.
    """
    if not q >= 0:
        raise MetricError(f"q must be 0 or more, not {q}")
    array_KD = np.asarray(embeddings_KD, dtype=np.float64)
    gram = _cosines(array_KD) if array_KD.ndim == 2 and len(array_KD) <= array_KD.shape[1] else _dual_gram(array_KD)
    candidates = len(array_KD)
    if candidates == 0 or np.isnan(gram[0, 0]):
        return math.nan
    if q == 2:  # sum of squared eigenvalues = squared Frobenius norm: no spectrum needed
        return candidates**2 / float(np.einsum("ij,ij->", gram, gram))
    spectrum = np.linalg.eigvalsh(gram) / candidates
    # Below this an eigenvalue of a unit-trace matrix is rounding error.
    spectrum = spectrum[spectrum > len(gram) * EPSILON]
    if q == 1:
        return math.exp(-float(spectrum @ np.log(spectrum)))
    if math.isinf(q):
        return 1.0 / float(spectrum.max())
    return float((spectrum**q).sum()) ** (1 / (1 - q))


def distinct_at_k(labels_PK: Rows, k: Ks, passed_PK: Rows | None = None) -> Floats:
    """Expected number of distinct clusters among k of a prompt's candidates, sum_j [1 - C(n-c_j,k)/C(n,k)].

    `labels_PK` (P, K), or P rows of unequal length, names the cluster of each candidate by any integer or string. With
    `passed_PK` (booleans) only passing members count: distinct *good* answers. The result is (P,), or (P, len(k)) for a
    sequence of k; NaN where a prompt has fewer than k candidates.

    Raises: MetricError where shapes differ, `passed_PK` is not boolean, or k is below 1.
    Source: hypergeometric expectation, as for pass@k (arXiv:2107.03374) in each cluster.
    """
    ks = candidate_counts(k)
    if passed_PK is None:
        pairs = [(block, np.ones(block.values_BK.shape)) for block in blocks(labels_PK, "labels_PK")]
    else:
        gated = paired_blocks(labels_PK, passed_PK, "labels_PK", "passed_PK")
        pairs = [(block, _outcomes(passed.values_BK)) for block, passed in gated]
    result_PM = np.empty((sum(len(block.prompts_B) for block, _ in pairs), len(ks)))
    for block, counted_BK in pairs:
        result_PM[block.prompts_B] = _expected_clusters(block.values_BK, counted_BK, ks)
    return result_PM[:, 0] if np.ndim(k) == 0 else result_PM


def _outcomes(passed_BK: NDArray[Any]) -> Floats:
    if not np.isin(passed_BK, (0, 1)).all():
        raise MetricError("passed_PK must hold True and False only")
    return passed_BK.astype(np.float64)


def _expected_clusters(labels_BK: NDArray[Any], counted_BK: Floats, ks: Ints) -> Floats:
    """Sum over each prompt's clusters of the chance that one of the counted members is among k; (B, len(ks))."""
    prompts, n = labels_BK.shape
    if labels_BK.size == 0:
        return np.full((prompts, len(ks)), np.nan)
    if labels_BK.dtype.kind == "f" and np.isnan(labels_BK).any():
        raise MetricError("labels_PK holds NaN: every candidate needs a cluster")
    order_BK = labels_BK.argsort(axis=1, kind="stable")
    sorted_BK = np.take_along_axis(labels_BK, order_BK, axis=1)
    starts_BK = np.ones((prompts, n), dtype=np.bool_)
    starts_BK[:, 1:] = sorted_BK[:, 1:] != sorted_BK[:, :-1]
    starts_J = np.flatnonzero(starts_BK)
    counts_J = np.add.reduceat(np.take_along_axis(counted_BK, order_BK, axis=1).ravel(), starts_J)
    # Clusters of one size are alike: how many of each size a prompt has, times the table of chances.
    sizes_U, size_J = np.unique(counts_J, return_inverse=True)
    cells_J = starts_J // n * len(sizes_U) + size_J
    clusters_BU = np.bincount(cells_J, minlength=prompts * len(sizes_U)).reshape(prompts, -1)
    return clusters_BU @ pass_at_k(n, sizes_U, ks)


def _cosines(array_KD: Floats) -> Floats:
    """Cosine of every two rows, (K, K), NaN throughout where a row is 0."""
    # Normalising K x K products is cheaper than K x D embeddings; what could over- or underflow goes the careful way.
    with np.errstate(over="ignore", invalid="ignore"):  # both show in the diagonal
        gram = array_KD @ array_KD.T
    squares_K = gram.diagonal()
    if not _in_range(squares_K):
        unit_KD = _unit(array_KD)
        return unit_KD @ unit_KD.T
    length_K = np.sqrt(squares_K)
    gram /= length_K
    gram /= length_K[:, None]
    return gram


def _dual_gram(array_KD: Floats) -> Floats:
    """Sum over candidates of the outer product of their direction, (D, D): the eigenvalues of the cosines but zeros."""
    unit_KD = _unit(array_KD)
    return unit_KD.T @ unit_KD


def _unit(embeddings_KD: ArrayLike) -> Floats:
    """Rows at length 1; NaN throughout where a row is 0, because its direction is undefined."""
    array_KD = np.asarray(embeddings_KD, dtype=np.float64)
    if array_KD.size == 0:
        return np.empty((0, 1))
    if array_KD.ndim != 2:
        raise MetricError(f"embeddings_KD has shape {array_KD.shape}: it must be (candidates, dimensions)")
    with np.errstate(over="ignore", invalid="ignore"):
        squares_K = np.einsum("kd,kd->k", array_KD, array_KD)
    if _in_range(squares_K):
        return array_KD / np.sqrt(squares_K)[:, None]
    largest_K1 = np.abs(finite(array_KD, "embeddings_KD")).max(axis=1, keepdims=True)
    if (largest_K1 == 0).any():
        return np.full(array_KD.shape, np.nan)
    # Dividing by the largest entry first keeps the squares in range.
    return _unit(array_KD / largest_K1)


def _in_range(squares_K: Floats) -> bool:
    """Whether squared lengths are far from 0 and from overflow; False where one is NaN, or there is none."""
    return len(squares_K) > 0 and bool(squares_K.min() > 1e-200 and squares_K.max() < math.inf)
