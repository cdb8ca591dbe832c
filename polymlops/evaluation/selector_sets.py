"""Selectors whose pick depends on what else is shown: their USQ by going through the k-subsets."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polymlops.errors import MetricError
from polymlops.metrics.arrays import Floats, Rows, blocks, candidate_counts, finite
from polymlops.metrics.tokens import words

Encode = Callable[[Sequence[str]], ArrayLike]
ROUNDING = 1e-9  # distances are within [0, 1]: sums this close are one


@dataclass(frozen=True, slots=True)
class SubsetMeans:
    """Means over k-subsets, `values_PM` by prompt and k; NaN where a prompt has fewer than k candidates.

    `error_PM` is the standard error from drawing subsets instead of going through all of them, 0 where all were.
    """

    values_PM: Floats
    error_PM: Floats


def diversity_first_usq(
    quality_PK: Rows, distances_PKK: Sequence[Floats], ks: Sequence[int], rng: np.random.Generator, most: int = 2000
) -> SubsetMeans:
    """Expected quality of the pick that is most unlike the others shown, from a random k-subset; per prompt and k.

    The pick is the candidate of the subset with the largest mean distance to its other members; ties are broken at
    random, so that k = 1 and k = 2 are the mean. All C(n, k) subsets are gone through where they are at most `most`;
    else as many are drawn, with the error stated.

    Raises: MetricError for NaN, k below 1, or distances of another shape than (n, n).
    """
    grid = candidate_counts(ks)
    rows: dict[int, Floats] = {}
    for block in blocks(quality_PK, "quality_PK"):
        rows |= dict(zip(block.prompts_B.tolist(), finite(block.values_BK, "quality_PK"), strict=True))
    if len(rows) != len(distances_PKK):
        raise MetricError(f"{len(distances_PKK)} distance matrices for {len(rows)} prompts: one each is needed")
    result = SubsetMeans(np.full((len(rows), len(grid)), np.nan), np.full((len(rows), len(grid)), np.nan))
    members: dict[tuple[int, int], NDArray[np.bool_]] = {}
    for prompt, quality_K in sorted(rows.items()):
        distance_KK = finite(distances_PKK[prompt], "distances_PKK")
        n = len(quality_K)
        if distance_KK.shape != (n, n):
            raise MetricError(f"distances of shape {distance_KK.shape} for {n} candidates: they must be ({n}, {n})")
        for m, k in enumerate(grid.tolist()):
            if k > n:
                continue
            if (n, k) not in members:
                members[n, k] = subset_members(n, k, rng, most)
            picked_S = _most_unlike(quality_K, distance_KK, members[n, k])
            result.values_PM[prompt, m] = picked_S.mean()
            every = len(picked_S) == math.comb(n, k)
            result.error_PM[prompt, m] = 0.0 if every else picked_S.std(ddof=1) / math.sqrt(len(picked_S))
    return result


def subset_members(n: int, k: int, rng: np.random.Generator, most: int) -> NDArray[np.bool_]:
    """Which of n candidates are in each k-subset, (subsets, n): all of them, or `most` drawn ones where there are more.

    Raises: MetricError unless 1 <= k <= n.
    """
    if not 1 <= k <= n:
        raise MetricError(f"there are no subsets of {k} among {n}")
    total = math.comb(n, k)
    if total <= most:
        indices = np.fromiter(chain.from_iterable(combinations(range(n), k)), np.int64, total * k).reshape(total, k)
    else:
        indices = rng.random((most, n)).argsort(axis=1)[:, :k]
    members_SN = np.zeros((len(indices), n), dtype=bool)
    np.put_along_axis(members_SN, indices, True, axis=1)
    return members_SN


def word_distances(texts: Sequence[str]) -> Floats:
    """One minus the Jaccard overlap of the sets of lower-case words of each pair, (n, n); two empty texts are equal."""
    sets = [frozenset(words(text)) for text in texts]
    place = {word: index for index, word in enumerate(sorted(frozenset().union(*sets)))}
    holds_KV = np.zeros((len(texts), max(1, len(place))))
    for row_V, found in zip(holds_KV, sets, strict=True):
        row_V[[place[word] for word in found]] = 1.0
    shared_KK = holds_KV @ holds_KV.T
    size_K = holds_KV.sum(axis=1)
    union_KK = size_K[:, None] + size_K[None, :] - shared_KK
    return 1.0 - np.divide(shared_KK, union_KK, out=np.ones_like(shared_KK), where=union_KK > 0)


def meaning_distances(texts: Sequence[str], encode: Encode) -> Floats:
    """One minus the cosine of each pair, at least 0, (n, n); `encode` gives unit vectors (n, D)."""
    embeddings_KD = np.asarray(encode(texts), dtype=np.float64)
    return np.maximum(0.0, 1.0 - embeddings_KD @ embeddings_KD.T)


def _most_unlike(quality_K: Floats, distance_KK: Floats, members_SK: NDArray[np.bool_]) -> Floats:
    """Mean quality of the members with the largest distance to all the others, for each subset (S,)."""
    apart_SK = np.where(members_SK, members_SK.astype(np.float64) @ distance_KK, -np.inf)
    tied_SK = apart_SK >= apart_SK.max(axis=1, keepdims=True) - ROUNDING
    return np.asarray((tied_SK @ quality_K) / tied_SK.sum(axis=1))
