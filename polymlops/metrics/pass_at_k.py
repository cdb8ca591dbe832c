"""Pass@k and its relatives: unbiased estimates over all k-subsets of the n samples that a prompt has.

One run of n samples gives every k up to n. A k above n is NaN. In every function `k` is one number or a
sequence of them; a sequence adds a last axis, so that a whole curve costs one call.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from polymlops.errors import MetricError
from polymlops.metrics.arrays import Floats, Ints, Rows, blocks, candidate_counts, counts, finite
from polymlops.metrics.beta_binomial import BetaBinomialFit, beta_binomial_fit

__all__ = [
    "BetaBinomialFit",
    "beta_binomial_fit",
    "max_at_k",
    "order_weights",
    "pass_at_k",
    "pass_at_k_curve",
    "pass_hat_k",
]

# Bounds the scratch memory of a table at 16 MB.
SCRATCH = 2**21

Ks = int | Sequence[int] | Ints


def pass_at_k(n: ArrayLike, c: ArrayLike, k: Ks) -> Floats:
    """Chance that at least one of k samples passes, 1 - C(n-c,k)/C(n,k), per prompt.

    `n` samples of which `c` pass, scalars or (P,); the result is (P,), or (P, len(k)) for a sequence.
    NaN where n < k.

    Raises: MetricError for NaN, a negative count, c above n, or k below 1.
    Source: Chen et al. 2021, arXiv:2107.03374, eq. 1; summed in logarithms, so that small chances keep all digits.
    """
    return _drop_k_axis(-np.expm1(_log_share_without(n, c, candidate_counts(k))), k)


def pass_hat_k(n: ArrayLike, c: ArrayLike, k: Ks) -> Floats:
    """Chance that all of k samples pass, C(c,k)/C(n,k), per prompt; shapes and errors as in `pass_at_k`.

    Source: Yao et al. 2024, arXiv:2406.12045, section 3.
    """
    failing = counts(n, "n") - counts(c, "c")
    if (failing < 0).any():
        raise MetricError("c is above n: more samples pass than there are")
    return _drop_k_axis(np.exp(_log_share_without(n, failing, candidate_counts(k))), k)


def pass_at_k_curve(n: ArrayLike, c: ArrayLike, ks: Sequence[int] | Ints) -> dict[int, float]:
    """Mean pass@k over the prompts for each k; NaN where any prompt has fewer than k samples.

    Raises: MetricError as in `pass_at_k`, and where there is no prompt.
    """
    grid = candidate_counts(ks)
    values_PM = np.atleast_2d(pass_at_k(n, c, grid))
    if len(values_PM) == 0:
        raise MetricError("a mean over prompts needs at least one prompt")
    return {int(k): float(value) for k, value in zip(grid, values_PM.mean(axis=0), strict=True)}


def max_at_k(values_PK: Rows, k: Ks) -> Floats:
    """Expected best value among k of a prompt's candidates, sum_i C(i-1,k-1) v_(i) / C(n,k).

    `values_PK` is (P, K), or P rows of unequal length. The result is (P,), or (P, len(k)); NaN where n < k.

    Raises: MetricError for NaN, infinite values, or k below 1.
    Source: Walder & Karkhanis 2025, arXiv:2505.15201, theorem 1.
    """
    ks = candidate_counts(k)
    parts = [
        (block.prompts_B, weighted_ranks(np.sort(finite(block.values_BK, "values_PK"), axis=1), ks))
        for block in blocks(values_PK, "values_PK")
    ]
    result_PM = np.empty((sum(len(prompts_B) for prompts_B, _ in parts), len(ks)))
    for prompts_B, part_BM in parts:
        result_PM[prompts_B] = part_BM
    return _drop_k_axis(result_PM, k)


def order_weights(n: int, ks: Ints) -> Floats:
    """Chance that the i-th smallest of n is the largest of a random k-subset, C(i-1,k-1)/C(n,k), as (n, len(ks)).

    By the recurrence from the largest down, w_(i-1) = w_i (i-k)/(i-1), which neither overflows nor cancels.
    """
    if n == 0:
        return np.empty((0, len(ks)))
    rank = np.arange(n, 1, -1)[:, None]
    steps = np.maximum((rank - ks) / (rank - 1), 0.0)
    descending = np.concatenate([ks[None, :] / n, steps]).cumprod(axis=0)
    weights = descending[::-1].copy()
    weights[:, ks > n] = np.nan
    return weights


def weighted_ranks(ranked_PK: Floats, ks: Ints) -> Floats:
    """Apply `order_weights` to rows that are sorted already; (P, len(ks)), NaN where K < k."""
    n = ranked_PK.shape[1]
    result_PM = np.full((len(ranked_PK), len(ks)), np.nan)
    step = max(1, SCRATCH // max(n, 1))
    for start in range(0, len(ks) if n else 0, step):
        chunk = slice(start, start + step)
        result_PM[:, chunk] = ranked_PK @ order_weights(n, ks[chunk])
    return result_PM


def _log_share_without(n: ArrayLike, c: ArrayLike, ks: Ints) -> Floats:
    """Log of the share of k-subsets that miss all c of n; last axis is k. -inf where none does, NaN where n < k.

    The k-th partial sum of log1p(-c/(n-i)) serves every k at once, and each (n, c) is summed only once.
    """
    n_P, c_P = np.broadcast_arrays(counts(n, "n"), counts(c, "c"))
    if (c_P > n_P).any():
        raise MetricError("c is above n: more samples pass than there are")
    if n_P.size == 0:
        return np.empty((*n_P.shape, len(ks)))
    base = int(n_P.max()) + 1
    pairs_U, inverse = np.unique(n_P.ravel() * base + c_P.ravel(), return_inverse=True)
    table_UM = np.empty((len(pairs_U), len(ks)))
    longest = min(int(ks.max()), base - 1)
    step = max(1, SCRATCH // max(longest, 1))
    for start in range(0, len(pairs_U), step):
        chunk = slice(start, start + step)
        table_UM[chunk] = _partial_sums(pairs_U[chunk] // base, pairs_U[chunk] % base, ks, longest)
    return table_UM[inverse.ravel()].reshape(*n_P.shape, len(ks))


def _partial_sums(n_U: Ints, c_U: Ints, ks: Ints, longest: int) -> Floats:
    if longest == 0:
        return np.full((len(n_U), len(ks)), np.nan)
    left_UI = n_U[:, None] - np.arange(longest)
    share_UI = np.ones(left_UI.shape)
    np.divide(np.broadcast_to(c_U[:, None], left_UI.shape), left_UI, out=share_UI, where=left_UI > c_U[:, None])
    with np.errstate(divide="ignore"):  # a share of 1 is log 0: every subset of that size has a passing sample
        sums_UI = np.log1p(-share_UI).cumsum(axis=1)
    sums_UM = sums_UI[:, np.minimum(ks, longest) - 1]
    sums_UM[n_U[:, None] < ks] = np.nan
    return sums_UM


def _drop_k_axis(values: Floats, k: Ks) -> Floats:
    return values[..., 0] if np.ndim(k) == 0 else values
