"""NoveltyBench: how many different answers a user sees among k, and what they are worth to one who tires of looking.

Unlike `distinct_at_k`, which is an expectation over subsets, these follow the order in which candidates were drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polymlops.errors import MetricError
from polymlops.metrics.arrays import Floats, Ints, finite, vector

Bools = NDArray[np.bool_]
PATIENCE = 0.8


@dataclass(frozen=True, slots=True)
class ThresholdFit:
    """A threshold fitted on labelled pairs, and how well it separates them.

    `balanced_accuracy` is the mean of the shares of equivalent and of different pairs that it gets right, in [0.5, 1];
    measured on the pairs it was fitted on, so optimistic where they are few.
    """

    threshold: float
    balanced_accuracy: float
    equivalent: int
    different: int


def similar(embeddings_KD: ArrayLike, threshold: float) -> Bools:
    """Which candidates say the same, (K, K): cosine at or above the threshold; rows of 0 are equal to each other only.

    Raises: MetricError for NaN, infinite values, or other than two axes.
    """
    array_KD = finite(embeddings_KD, "embeddings_KD")
    if array_KD.ndim != 2:
        raise MetricError(f"embeddings_KD has shape {array_KD.shape}: it must be (candidates, dimensions)")
    length_K = np.linalg.norm(array_KD, axis=1)
    empty_K = length_K == 0
    unit_KD = array_KD / np.where(empty_K, 1.0, length_K)[:, None]
    same_KK = (unit_KD @ unit_KD.T >= threshold) & ~(empty_K[:, None] | empty_K)
    return same_KK | (empty_K[:, None] & empty_K) | np.eye(len(array_KD), dtype=np.bool_)


def equivalence_classes(same_KK: ArrayLike) -> Ints:
    """Class of each candidate, (K,), by first appearance: that of the first class whose first member it equals.

    Equivalence by a threshold is not transitive; the first member stands for its class, so that classes do not chain.

    Raises: MetricError where `same_KK` is not square, boolean and symmetric.
    Source: Zhang et al. 2025, arXiv:2504.05228 (there a member at random stands for the class).
    """
    array_KK = np.asarray(same_KK)
    square = array_KK.ndim == 2 and array_KK.shape[0] == array_KK.shape[1]
    if not square or array_KK.dtype != np.bool_ or (array_KK != array_KK.T).any():
        raise MetricError(f"same_KK has shape {array_KK.shape}: it must be a symmetric table of booleans, (K, K)")
    labels_K = np.empty(len(array_KK), dtype=np.int64)
    first_members: list[int] = []
    for candidate, same_K in enumerate(array_KK):
        known = np.flatnonzero(same_K[first_members])
        labels_K[candidate] = known[0] if len(known) else len(first_members)
        if not len(known):
            first_members.append(candidate)
    return labels_K


def distinct_k(labels_K: Sequence[int] | Ints, k: int) -> float:
    """Number of different classes among the first k candidates, 1 to k; NaN where there are fewer than k.

    Raises: MetricError for k below 1.
    Source: Zhang et al. 2025, arXiv:2504.05228.
    """
    _check_k(k)
    return float(len(np.unique(np.asarray(labels_K)[:k]))) if len(labels_K) >= k else math.nan


def utility_k(labels_K: Sequence[int] | Ints, utility_K: ArrayLike, k: int, patience: float = PATIENCE) -> float:
    """What k candidates are worth to a user who looks at each next one with probability `patience`.

    (1-p)/(1-p^k) sum_{i<=k} p^(i-1) [candidate i opens a new class] u_i: in the range of `utility_K`, and 0 for what
    repeats. NaN where there are fewer than k candidates, or a counted one has no utility (NaN).

    Raises: MetricError for k below 1, a patience outside (0, 1), or lengths that differ.
    Source: Zhang et al. 2025, arXiv:2504.05228.
    """
    _check_k(k)
    if not 0 < patience < 1:
        raise MetricError(f"patience must lie between 0 and 1, not {patience}")
    labels, values = np.asarray(labels_K), np.asarray(utility_K, dtype=np.float64)
    if labels.shape != values.shape or labels.ndim != 1:
        raise MetricError(f"labels_K has shape {labels.shape} and utility_K {values.shape}: one of each a candidate")
    if len(labels) < k:
        return math.nan
    firsts = np.unique(labels[:k], return_index=True)[1]
    return float((patience**firsts) @ values[firsts]) * (1 - patience) / (1 - patience**k)


def calibrate_threshold(similarity_M: ArrayLike, equivalent_M: Sequence[bool] | Bools) -> ThresholdFit:
    """The threshold on similarity that best separates equivalent from different pairs, by balanced accuracy.

    It lies in the middle between two neighbouring similarities; of equally good ones the widest gap is taken, and then
    the lowest.

    Raises: MetricError for NaN, lengths that differ, or where one of the two kinds is missing.
    """
    values_M, labels_M = vector(similarity_M, "similarity_M"), np.asarray(equivalent_M)
    if labels_M.shape != values_M.shape or labels_M.dtype != np.bool_:
        raise MetricError(f"{len(values_M)} similarities for {labels_M.shape} labels: give one boolean a pair")
    equivalent, different = int(labels_M.sum()), int((~labels_M).sum())
    if not equivalent or not different:
        raise MetricError(
            f"{equivalent} equivalent and {different} different pairs: a threshold needs some of each kind"
        )
    levels = np.unique(values_M)
    above = (values_M[:, None] >= levels) & labels_M[:, None]
    below = (values_M[:, None] < levels) & ~labels_M[:, None]
    # At levels[i] all pairs from level i up count as equivalent; above the last level none would.
    accuracy = np.append((above.sum(axis=0) / equivalent + below.sum(axis=0) / different) / 2, 0.5)
    gaps = np.diff(levels, prepend=levels[0], append=levels[-1])
    best = max(range(len(accuracy)), key=lambda i: (round(float(accuracy[i]), 12), gaps[i], -i))
    return ThresholdFit(_between(levels, best), float(accuracy[best]), equivalent, different)


def _between(levels: Floats, index: int) -> float:
    """Middle of the gap below a level; the level itself at the lower end, just above the last at the upper."""
    if index == len(levels):
        return float(np.nextafter(levels[-1], math.inf))
    return float(levels[index] if index == 0 else (levels[index - 1] + levels[index]) / 2)


def _check_k(k: int) -> None:
    if k < 1:
        raise MetricError(f"k must be 1 or more, not {k}")
