"""Diversity d(S) in [0, 1] of a set, its expectation given one or two members, and the polychromic product with it.

Only valid members count: junk and truncated samples are in S, and their rewards are, but d is that of the m valid ones.
Two kinds of d, both 0 below two valid members (a lone candidate offers no choice):

- `Distances`: mean distance over the pairs of valid members;
- `Clusters`: distinct clusters among the valid members, divided by m.

Given a fixed part of S (one or two members, x of them valid), the number m of valid members of S is x plus a
hypergeometric number, and given m the other valid ones are a uniform draw from those not fixed. Both expectations are
therefore sums over m of tabulated chances: exact at any k, O(K^2) a group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polymlops.metrics.arrays import Floats, Ints
from polymlops.training.set_functions import Bools, log_choose


@dataclass(frozen=True, slots=True)
class Distances:
    """Pairwise distances: symmetric, and 0 on the diagonal and wherever a member is not valid."""

    distances_GKK: Floats
    valid_GK: Bools

    def with_member(self, k: int) -> Floats:
        """Mean of d(S) over the k-subsets S that contain i; (G, K)."""
        row_GK = self.distances_GKK.sum(axis=2)
        x_GK = self.valid_GK.astype(np.int64)
        total_G1 = row_GK.sum(axis=1, keepdims=True)
        return self._expected(k, 1, x_GK, np.zeros_like(row_GK), row_GK, total_G1 - 2 * row_GK)

    def with_pair(self, k: int) -> Floats:
        """Mean of d(S) over the k-subsets S that contain both i and j; (G, K, K), the diagonal without meaning."""
        row_GK = self.distances_GKK.sum(axis=2)
        pair_GKK = row_GK[:, :, None] + row_GK[:, None, :]
        total_G11 = row_GK.sum(axis=1)[:, None, None]
        inside_GKK = 2 * self.distances_GKK
        outside_GKK = total_G11 - 2 * pair_GKK + inside_GKK
        return self._expected(k, 2, _pair_counts(self.valid_GK), inside_GKK, pair_GKK - inside_GKK, outside_GKK)

    def _expected(self, k: int, fixed: int, x: Ints, inside: Floats, across: Floats, outside: Floats) -> Floats:
        """Ordered distances within the fixed part, from it to the rest, and within the rest, each with its chance."""
        v_G = self.valid_GK.sum(axis=1)
        table = np.zeros((3, self.valid_GK.shape[1] + 1, fixed + 1))
        for valid, known, m, chance in _valid_counts(v_G, self.valid_GK.shape[1], k, fixed):
            rest, drawn, per_pair = valid - known, m - known, chance / (m * (m - 1))
            table[0, valid, known] = per_pair.sum()
            table[1, valid, known] = (per_pair * drawn).sum() / max(rest, 1)
            table[2, valid, known] = (per_pair * drawn * (drawn - 1)).sum() / max(rest * (rest - 1), 1)
        within, between, beyond = table[:, _beside(v_G, x), x]
        return within * inside + 2 * between * across + beyond * outside


@dataclass(frozen=True, slots=True)
class Clusters:
    """Which valid members share a cluster; false wherever a member is not valid."""

    same_GKK: Bools
    valid_GK: Bools

    def with_member(self, k: int) -> Floats:
        """Mean of d(S) over the k-subsets S that contain i; (G, K)."""
        x_GK = self.valid_GK.astype(np.int64)
        c_GK = self.same_GKK.sum(axis=2)
        hit, missed, unseen_GX = self._chances(k, 1, c_GK)
        v_G1 = self.valid_GK.sum(axis=1)[:, None]
        unseen_GK = np.take_along_axis(unseen_GX, x_GK, axis=1) - missed[v_G1, x_GK, c_GK]
        return hit[v_G1, x_GK] * self._clusters(c_GK)[:, None] - unseen_GK

    def with_pair(self, k: int) -> Floats:
        """Mean of d(S) over the k-subsets S that contain both i and j; (G, K, K), the diagonal without meaning."""
        x_GKK = _pair_counts(self.valid_GK)
        c_GK = self.same_GKK.sum(axis=2)
        hit, missed, unseen_GX = self._chances(k, 2, c_GK)
        v_G11 = self.valid_GK.sum(axis=1)[:, None, None]
        own_GKK = missed[v_G11, x_GKK, c_GK[:, :, None]]
        other_GKK = np.where(self.same_GKK, 0.0, missed[v_G11, x_GKK, c_GK[:, None, :]])
        all_GKK = np.take_along_axis(unseen_GX[:, None, :], x_GKK, axis=2)
        return hit[v_G11, x_GKK] * self._clusters(c_GK)[:, None, None] - (all_GKK - own_GKK - other_GKK)

    def coverage_with_member(self, k: int) -> Floats:
        """Mean number of distinct clusters among the valid members of S over the k-subsets S that contain i; (G, K).

        A cluster of c that i is not in is missed by C(K-1-c, k-1) of the C(K-1, k-1) subsets that contain i.

        Source: hypergeometric, as `polymlops.metrics.semantic.distinct_at_k`.
        """
        samples = self.valid_GK.shape[1]
        c_GK = self.same_GKK.sum(axis=2)
        missed = np.exp(log_choose(samples - 1 - np.arange(samples + 1), k - 1) - log_choose(samples - 1, k - 1))
        missed_GK = np.where(self.valid_GK, missed[c_GK], 0.0)
        once_GK = (self.valid_GK - missed_GK) / np.maximum(c_GK, 1)
        return once_GK.sum(axis=1, keepdims=True) + missed_GK

    def _clusters(self, c_GK: Ints) -> Floats:
        """Number of clusters of valid members, (G,): each is counted once, as the mean over its members."""
        return (self.valid_GK / np.maximum(c_GK, 1)).sum(axis=1)

    def _chances(self, k: int, fixed: int, c_GK: Ints) -> tuple[Floats, Floats, Floats]:
        """E[1/m] by (v, x); E[1/m if S misses a cluster of c] by (v, x, c); the latter's sum over clusters, (G, x).

        The second is 0 at c = 0, where a member that is not valid looks itself up.
        """
        samples = c_GK.shape[1]
        v_G, sizes = self.valid_GK.sum(axis=1), np.arange(samples + 1)
        hit, missed = np.zeros((samples + 1, fixed + 1)), np.zeros((samples + 1, fixed + 1, samples + 1))
        for valid, known, m, chance in _valid_counts(v_G, samples, k, fixed):
            rest, drawn = valid - known, m - known
            avoid = np.exp(log_choose(rest - sizes[:, None], drawn) - log_choose(rest, drawn))
            hit[valid, known] = (chance / m).sum()
            missed[valid, known] = np.where(sizes > 0, avoid @ (chance / m), 0.0)
        unseen_GKX = missed[v_G[:, None], :, c_GK] / np.maximum(c_GK, 1)[:, :, None]
        return hit, missed, unseen_GKX.sum(axis=1)


Diversity = Distances | Clusters


def polychromic_with_member(rewards_GK: Floats, diversity: Diversity, k: int) -> Floats:
    """f(S) = mean reward of S times d(S), as its mean over the k-subsets S that contain i; (G, K).

    The product is linear in the rewards: member j adds r_j / k times the mean of d over the subsets that contain i and
    j, which are (k-1)/(K-1) of those that contain i.

    Source: Hamid et al. 2025, arXiv:2509.25424 (the objective); the closed form is ours.
    """
    own_GK = rewards_GK * diversity.with_member(k)
    if k == 1:
        return own_GK
    pairs_GKK = diversity.with_pair(k)
    diagonal_GK = np.einsum("gii->gi", pairs_GKK)
    others_GK = np.einsum("gij,gj->gi", pairs_GKK, rewards_GK) - diagonal_GK * rewards_GK
    return (own_GK + (k - 1) / (rewards_GK.shape[1] - 1) * others_GK) / k


def _pair_counts(valid_GK: Bools) -> Ints:
    """How many of i and j are valid; (G, K, K)."""
    x_GK = valid_GK.astype(np.int64)
    return x_GK[:, :, None] + x_GK[:, None, :]


def _beside(v_G: Ints, x: Ints) -> Ints:
    """Align one value a group with an array that has group as its first axis."""
    return v_G.reshape(-1, *[1] * (x.ndim - 1))


def _valid_counts(v_G: Ints, samples: int, k: int, fixed: int) -> list[tuple[int, int, Ints, Floats]]:
    """(v, x, m, chance of m): for groups of v valid members, sets of k whose fixed part has x valid ones.

    m runs over what is possible from 2 up: below, d is 0.
    """
    cases = []
    for valid in np.unique(v_G).tolist():
        for known in range(fixed + 1):
            m = np.arange(2, k + 1)
            chosen = log_choose(valid - known, m - known)
            filled = log_choose(samples - valid - (fixed - known), k - fixed - (m - known))
            chance = np.exp(chosen + filled - log_choose(samples - fixed, k - fixed))
            cases.append((valid, known, m[chance > 0], chance[chance > 0]))
    return cases
