"""Interaction of post and reply of low rank: a few tastes of readers, a few kinds of replies.

f(post, reply) = sum_r u_r(post) v_r(reply) with u and v in the span of leading kernel principal components, fitted by
alternating generalised least squares with a ridge: each half step has a closed form. Wordings that work alike share
their evidence, which a product of kernels cannot do.

Source: alternating ridge for low-rank models, Hastie, Mazumder, Lee & Zadeh 2015, arXiv:1410.2596; kernel principal
components, Schoelkopf, Smola & Mueller 1998.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from polymlops.training.reward_blocks import TERMS

if TYPE_CHECKING:
    from polymlops.metrics.arrays import Floats

INTERACTIONS = tuple(number for number, term in enumerate(TERMS) if len(term) > 1)
RANK = 3
RIDGE = 8.0
POST_COMPONENTS, REPLY_COMPONENTS = 20, 40
STARTS = 2  # the least squares have local optima: two are averaged
ROUNDS = 10
DENSE_BELOW = 500  # rows


@dataclass(frozen=True, slots=True)
class LowRank:
    """Coefficients on the N training rows: R = STARTS x RANK factors of each side, and of everything else."""

    post_RN: Floats
    reply_RN: Floats
    plain_N: Floats


def fit_low_rank(
    post_NN: Floats, reply_NN: Floats, rest_NN: Floats, target_N: Floats, rng: np.random.Generator
) -> LowRank:
    """Fit factors to the target, whose covariance apart from the interaction is `rest_NN`, noise included."""
    from scipy.linalg import solve_triangular

    lower_NN: Floats = np.linalg.cholesky(rest_NN).astype(np.float64, copy=False)
    (post_NA, post_map), (reply_NB, reply_map) = (
        _components(post_NN, POST_COMPONENTS),
        _components(reply_NN, REPLY_COMPONENTS),
    )
    posts, replies, rest_N = [], [], target_N.copy()
    for _ in range(STARTS):
        post_AR = rng.standard_normal((post_NA.shape[1], RANK)) / np.sqrt(post_NA.shape[1])
        reply_BR = rng.standard_normal((reply_NB.shape[1], RANK)) / np.sqrt(reply_NB.shape[1])
        for _ in range(ROUNDS):
            post_AR = _half_step(post_NA, reply_NB @ reply_BR, target_N, lower_NN)
            reply_BR = _half_step(reply_NB, post_NA @ post_AR, target_N, lower_NN)
            post_AR, reply_BR = _balance(post_AR, reply_BR)
        rest_N -= ((post_NA @ post_AR) * (reply_NB @ reply_BR)).sum(axis=1) / STARTS
        posts.append((post_map @ post_AR).T / np.sqrt(STARTS))
        replies.append((reply_map @ reply_BR).T / np.sqrt(STARTS))
    plain_N = solve_triangular(lower_NN.T, solve_triangular(lower_NN, rest_N, lower=True), lower=False)
    return LowRank(np.concatenate(posts), np.concatenate(replies), plain_N)


def _half_step(own_NA: Floats, other_NR: Floats, target_N: Floats, lower_NN: Floats) -> Floats:
    """Best factors of one side while the other's are held, (A, R)."""
    from scipy.linalg import solve_triangular

    design = (own_NA[:, :, None] * other_NR[:, None, :]).reshape(len(own_NA), -1)
    white = solve_triangular(lower_NN, np.column_stack([design, target_N]), lower=True)
    design, target_N = white[:, :-1], white[:, -1]
    solution = np.linalg.solve(design.T @ design + RIDGE * np.eye(design.shape[1]), design.T @ target_N)
    return solution.reshape(own_NA.shape[1], -1)


def _components(kernel_NN: Floats, most: int) -> tuple[Floats, Floats]:
    """Leading components of the rows, (N, A), and the map that makes them of a row's kernel with all rows, (N, A)."""
    values, vectors = _leading(kernel_NN, most)
    kept = values > 1e-6 * values[-1]
    map_NA = vectors[:, kept] / np.sqrt(values[kept])
    return kernel_NN @ map_NA, map_NA


def _leading(kernel_NN: Floats, most: int) -> tuple[Floats, Floats]:
    """The largest eigenvalues, rising, and their vectors; by Lanczos from a fixed start where that is less work."""
    if len(kernel_NN) < DENSE_BELOW:
        from scipy.linalg import eigh

        first = max(0, len(kernel_NN) - most)
        return eigh(kernel_NN, subset_by_index=[first, len(kernel_NN) - 1])
    from scipy.sparse.linalg import eigsh

    return eigsh(kernel_NN, k=most, v0=np.ones(len(kernel_NN)))


def _balance(post_AR: Floats, reply_BR: Floats) -> tuple[Floats, Floats]:
    """The same product with both sides equally large, where the ridge is least."""
    (post_q, post_r), (reply_q, reply_r) = np.linalg.qr(post_AR), np.linalg.qr(reply_BR)
    left, values, right = np.linalg.svd(post_r @ reply_r.T)
    return post_q @ (left * np.sqrt(values)), reply_q @ (right.T * np.sqrt(values))
