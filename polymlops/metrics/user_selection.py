"""USQ@k, the quality of what a user (or any selector) picks when shown k candidates, and what the choice is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polymlops.errors import MetricError
from polymlops.metrics.arrays import Floats, Ints, Rows, candidate_counts, finite, paired_blocks
from polymlops.metrics.pass_at_k import Ks, max_at_k, weighted_ranks


@dataclass(frozen=True, slots=True)
class SelectionReport:
    """What a selector is worth, averaged over prompts; each mapping goes from k to a value, NaN where undefined.

    `efficiency` is selection gain / oracle gain. For normally distributed quality and selector scores it is about
    their correlation at every k, so `correlation` (mean within-prompt Pearson, over the `correlated_prompts` that have
    spread in both) belongs beside it.
    """

    mean: float
    usq: dict[int, float]
    oracle: dict[int, float]
    selection_gain: dict[int, float]
    oracle_gain: dict[int, float]
    efficiency: dict[int, float]
    regret: dict[int, float]
    correlation: float
    correlated_prompts: int
    prompts: int


def usq_at_k(quality_PK: Rows, selector_PK: Rows, k: Ks) -> Floats:
    """Expected true quality of the candidate that `selector_PK` ranks first in a random k-subset, per prompt.

    Ties of the selector are broken at random. Both are (P, K), or P rows of unequal length. The result is (P,), or
    (P, len(k)) for a sequence of k; NaN where a prompt has fewer than k candidates. At k = 1 it is the mean quality;
    with selector = quality it is max@k.

    Raises: MetricError for NaN, infinite quality, shapes that differ, or k below 1.
    Source: ours; max@k of Walder & Karkhanis 2025, arXiv:2505.15201, with another order than that of the values.
    """
    ks = candidate_counts(k)
    pairs = _checked_pairs(quality_PK, selector_PK)
    result_PM = np.empty((sum(len(pair.prompts_B) for pair in pairs), len(ks)))
    for pair in pairs:
        result_PM[pair.prompts_B] = weighted_ranks(_ranked_by(pair.quality_BK, pair.selector_BK), ks)
    return result_PM[:, 0] if np.ndim(k) == 0 else result_PM


def selection_report(quality_PK: Rows, selector_PK: Rows, ks: Sequence[int] | Ints) -> SelectionReport:
    """Mean USQ@k, oracle, gains, efficiency and regret over the prompts for each of `ks`.

    Efficiency is the ratio of the mean gains, NaN where the oracle gains nothing.

    Raises: MetricError as in `usq_at_k`, and where there is no prompt.
    """
    ks = candidate_counts(ks)
    mean_P = usq_at_k(quality_PK, selector_PK, 1)
    if len(mean_P) == 0:
        raise MetricError("a selection report needs at least one prompt")
    mean = float(mean_P.mean())
    usq_M, oracle_M = usq_at_k(quality_PK, selector_PK, ks).mean(axis=0), max_at_k(quality_PK, ks).mean(axis=0)
    gain_M, best_M = usq_M - mean, oracle_M - mean
    # Gains below rounding error are no gain: their ratio would be noise.
    no_gain_M = np.abs(best_M) <= 1e-12 * np.maximum(1.0, np.abs(oracle_M))
    efficiency_M = np.divide(gain_M, best_M, out=np.full(len(ks), np.nan), where=~no_gain_M)
    correlation_P = within_prompt_correlation(quality_PK, selector_PK)
    known_P = correlation_P[~np.isnan(correlation_P)]

    def curve(values_M: Floats) -> dict[int, float]:
        return {int(k): float(value) for k, value in zip(ks, values_M, strict=True)}

    return SelectionReport(
        mean=mean,
        usq=curve(usq_M),
        oracle=curve(oracle_M),
        selection_gain=curve(gain_M),
        oracle_gain=curve(best_M),
        efficiency=curve(efficiency_M),
        regret=curve(oracle_M - usq_M),
        correlation=float(known_P.mean()) if len(known_P) else float("nan"),
        correlated_prompts=len(known_P),
        prompts=len(correlation_P),
    )


def within_prompt_correlation(quality_PK: Rows, selector_PK: Rows) -> Floats:
    """Pearson correlation of quality and selector over a prompt's candidates, (P,).

    NaN where either is constant, or a score is infinite.
    """
    pairs = _checked_pairs(quality_PK, selector_PK)
    result_P = np.full(sum(len(pair.prompts_B) for pair in pairs), np.nan)
    for pair in pairs:
        if pair.quality_BK.shape[1] < 2:
            continue
        varies_B = np.isfinite(pair.selector_BK).all(axis=1)
        for values_BK in (pair.quality_BK, pair.selector_BK):
            varies_B &= values_BK.max(axis=1) > values_BK.min(axis=1)
        q_BK, s_BK = pair.quality_BK[varies_B], pair.selector_BK[varies_B]
        q_BK, s_BK = q_BK - q_BK.mean(axis=1, keepdims=True), s_BK - s_BK.mean(axis=1, keepdims=True)
        norm_B = np.sqrt((q_BK**2).sum(axis=1) * (s_BK**2).sum(axis=1))
        result_P[pair.prompts_B[varies_B]] = (q_BK * s_BK).sum(axis=1) / norm_B
    return result_P


@dataclass(frozen=True, slots=True)
class _Pair:
    """Quality and selector scores of the prompts that have the same number of candidates."""

    prompts_B: Ints
    quality_BK: Floats
    selector_BK: Floats


def _checked_pairs(quality_PK: Rows, selector_PK: Rows) -> list[_Pair]:
    pairs = []
    for quality, selector in paired_blocks(quality_PK, selector_PK, "quality_PK", "selector_PK"):
        # An infinite score still ranks; NaN does not.
        selector_BK = np.asarray(selector.values_BK, dtype=np.float64)
        if np.isnan(selector_BK).any():
            raise MetricError("selector_PK holds NaN: score every candidate, or drop it from both arrays")
        pairs.append(_Pair(quality.prompts_B, finite(quality.values_BK, "quality_PK"), selector_BK))
    return pairs


def _ranked_by(quality_PK: Floats, selector_PK: Floats) -> Floats:
    """Quality in ascending order of the selector, tied candidates replaced by their mean quality.

    A random tie-break makes every member of a tie equally likely, which is what the mean states.
    """
    order_PK = selector_PK.argsort(axis=1, kind="stable")
    ranked_PK = np.take_along_axis(quality_PK, order_PK, axis=1)
    scores_PK = np.take_along_axis(selector_PK, order_PK, axis=1)
    starts_PK = np.ones(scores_PK.shape, dtype=bool)
    starts_PK[:, 1:] = scores_PK[:, 1:] != scores_PK[:, :-1]
    if starts_PK.all():
        return ranked_PK
    starts_G = np.flatnonzero(starts_PK)
    sizes_G = np.diff(np.append(starts_G, ranked_PK.size))
    means_G = np.add.reduceat(ranked_PK.ravel(), starts_G) / sizes_G
    return np.repeat(means_G, sizes_G).reshape(ranked_PK.shape)
