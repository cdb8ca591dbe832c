"""What extra candidates buy: the diversity-efficiency ratio with its bounds, and coverage efficiency.

DER looks like a score from 0 to 1 and is none: a collapsed model has 1/k, and a weaker model has more. It is
reported with both bounds, beside coverage efficiency, whose 0 and 1 mean what they seem to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from polymlops.errors import MetricError
from polymlops.metrics.arrays import Floats, Ints, Rows, blocks, curve_arrays
from polymlops.metrics.pass_at_k import pass_at_k


@dataclass(frozen=True, slots=True)
class DerBounds:
    """The values between which DER lies at one k, given pass@1; both NaN where pass@1 is 0."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CorrectCounts:
    """Samples of each prompt, and how many of them pass."""

    n_P: Ints
    c_P: Ints


def diversity_efficiency_ratio(curve: Mapping[int, float]) -> dict[int, float]:
    """DER@k = pass@k / (k pass@1) for each k of a pass@k curve; NaN where pass@1 is 0.

    Raises: MetricError where the curve has no k = 1, holds NaN, or leaves [0, 1].
    """
    first = _pass_at_1(curve)
    return {k: curve[k] / (k * first) if first > 0 else math.nan for k in sorted(curve)}


def der_bounds(curve: Mapping[int, float]) -> dict[int, DerBounds]:
    """The reachable range of DER at each k, [1/k, min(1, 1/(k pass@1))]; NaN where pass@1 is 0.

    Raises: MetricError as in `diversity_efficiency_ratio`.
    """
    first = _pass_at_1(curve)
    if first == 0:
        return {k: DerBounds(math.nan, math.nan) for k in sorted(curve)}
    return {k: DerBounds(1 / k, min(1.0, 1 / (k * first))) for k in sorted(curve)}


def coverage_efficiency(correct_PK: Rows, k: int) -> float:
    """CE@k = (pass@k - p) / (1 - (1-p)^k - p), p the mean of pass@1 over prompts.

    `correct_PK` (P, K) holds True or 1 where a sample passes; rows may differ in length. 0: each prompt passes
    always or never. 1: prompts do not differ. It exceeds 1 only by chance. CE@2 is 1 minus the intraclass
    correlation of correctness. NaN at k = 1, where every or no sample passes, and where a prompt has fewer than k.

    Raises: MetricError where a value is neither 0 nor 1, or there is no prompt.
    """
    correct = correct_counts(correct_PK)
    means = [pass_at_k(correct.n_P, correct.c_P, size).mean() for size in (1, k)]
    return float(coverage_efficiency_of_means(means[0], means[1], k))


def coverage_efficiency_of_means(pass_at_1: ArrayLike, mean_pass_at_k: ArrayLike, k: int) -> Floats:
    """CE@k from the two means over prompts, elementwise; the form that a bootstrap applies to resampled means."""
    p, covered = np.asarray(pass_at_1, dtype=np.float64), np.asarray(mean_pass_at_k, dtype=np.float64)
    defined = (p > 0) & (p < 1) & (k > 1)
    independent = -np.expm1(k * np.log1p(-p, out=np.zeros(p.shape), where=p < 1))
    return np.divide(covered - p, independent - p, out=np.full(p.shape, np.nan), where=defined)


def correct_counts(correct_PK: Rows) -> CorrectCounts:
    """Count samples and passing samples of each prompt. Raises MetricError where a value is neither 0 nor 1."""
    parts = list(blocks(correct_PK, "correct_PK"))
    prompts = sum(len(block.prompts_B) for block in parts)
    if prompts == 0:
        raise MetricError("correct_PK has no prompt")
    n_P, c_P = np.empty(prompts, dtype=np.int64), np.empty(prompts, dtype=np.int64)
    for block in parts:
        if not np.isin(block.values_BK, (0, 1)).all():
            raise MetricError("correct_PK must hold True and False (1 and 0) only: an unscored sample has no outcome")
        n_P[block.prompts_B], c_P[block.prompts_B] = block.values_BK.shape[1], block.values_BK.sum(axis=1)
    return CorrectCounts(n_P, c_P)


def _pass_at_1(curve: Mapping[int, float]) -> float:
    ks, values_M = curve_arrays(curve)
    if ks[0] != 1:
        raise MetricError(f"the curve starts at k = {ks[0]}: DER needs pass@1")
    if ((values_M < 0) | (values_M > 1)).any():
        raise MetricError("the curve leaves [0, 1]: DER is defined for pass@k")
    return float(values_M[0])
