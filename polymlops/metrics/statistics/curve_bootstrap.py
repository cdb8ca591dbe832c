"""The bootstrap of a whole pass@k curve at the price of one matrix product.

A prompt enters the curve only through its pair (n, c). So the table T[(n, c), k] of pass@k is made once, a resample is
a count of pairs, and all resampled curves are counts @ T.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from polymlops.errors import MetricError
from polymlops.metrics.arrays import Floats, Ints, candidate_counts, counts
from polymlops.metrics.pass_at_k import pass_at_k
from polymlops.metrics.statistics.bootstrap import check_level, row_blocks
from polymlops.records import Estimate


@dataclass(frozen=True, slots=True)
class CurveDraws:
    """Mean pass@k over the prompts at `ks`, and over each of R resamples of the prompts."""

    ks: Ints
    mean_M: Floats
    means_RM: Floats
    prompts: int


def bootstrap_pass_at_k(
    n: ArrayLike,
    c: ArrayLike,
    ks: Sequence[int] | Ints,
    rng: np.random.Generator,
    resamples: int = 10_000,
    level: float = 0.95,
) -> dict[int, Estimate]:
    """Mean pass@k over prompts for each k, with percentile intervals over resampled prompts.

    `c` (P,) samples pass of `n` (P,) or scalar. NaN at every k above the smallest n. One prompt has no interval.

    Raises: MetricError for NaN, c above n, no prompt, or a level outside (0, 1).
    """
    check_level(level)
    draws = bootstrap_pass_at_k_draws(n, c, ks, rng, resamples)
    means = {int(k): float(mean) for k, mean in zip(draws.ks, draws.mean_M, strict=True)}
    if draws.prompts == 1:
        return {k: Estimate(mean, n=1) for k, mean in means.items()}
    low_M, high_M = np.quantile(draws.means_RM, [(1 - level) / 2, (1 + level) / 2], axis=0)
    ends = zip(means.items(), low_M, high_M, strict=True)
    return {k: Estimate(mean, float(low), float(high), draws.prompts) for (k, mean), low, high in ends}


def bootstrap_pass_at_k_draws(
    n: ArrayLike, c: ArrayLike, ks: Sequence[int] | Ints, rng: np.random.Generator, resamples: int = 10_000
) -> CurveDraws:
    """The resampled curves themselves, for statistics of a curve (collapse point, DER, area)."""
    grid = candidate_counts(ks)
    n_P, c_P = np.broadcast_arrays(np.atleast_1d(counts(n, "n")), np.atleast_1d(counts(c, "c")))
    if n_P.ndim != 1 or n_P.size == 0:
        raise MetricError("a bootstrap needs one (n, c) a prompt, and at least one prompt")
    base = int(n_P.max()) + 1
    pairs_U, first_U, member_P = np.unique(n_P * base + c_P, return_index=True, return_inverse=True)
    table_UM = pass_at_k(n_P[first_U], c_P[first_U], grid)
    prompts, kinds = len(member_P), len(pairs_U)
    means_RM = np.empty((resamples, len(grid)))
    start = 0
    for rows in row_blocks(resamples, prompts):
        drawn = member_P[rng.integers(0, prompts, size=(rows, prompts))]
        drawn += np.arange(0, rows * kinds, kinds)[:, None]
        drawn_RU = np.bincount(drawn.ravel(), minlength=rows * kinds).reshape(rows, kinds)
        np.matmul(drawn_RU / prompts, table_UM, out=means_RM[start : start + rows])
        start += rows
    return CurveDraws(grid, table_UM[member_P].mean(axis=0), means_RM, prompts)
