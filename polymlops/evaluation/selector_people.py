"""People who pick among the candidates shown: one who errs, and one in a hurry. Exact over all subsets.

Neither is an order of the candidates, so the closed form of `usq_at_k` does not hold for them.
"""

from __future__ import annotations

import math

import numpy as np

from polymlops.errors import MetricError
from polymlops.metrics.arrays import Floats, Ints, Rows, blocks, candidate_counts, finite
from polymlops.metrics.pass_at_k import Ks, max_at_k

STEP = 0.25  # in log t; the trapezoidal rule's error falls as exp(-pi^2 / STEP)
TAIL = 37.0  # exp(-TAIL) is the rounding error of a float64
FAINTEST = 600.0  # a weight of exp(-FAINTEST) beside the best is still a float64
SCRATCH = 2**21  # values held at once, 16 MB


def noisy_human_usq(quality_PK: Rows, k: Ks, temperature: float) -> Floats:
    """Expected quality of the pick of a person who sees quality through noise, from a random k-subset; per prompt.

    The pick is candidate i of the subset S with probability w_i / W, w = exp(quality / temperature), W the sum over S
    (quality plus Gumbel noise, the best taken). Shapes and NaN as in `usq_at_k`; k = 1 is the mean, temperature to 0
    is max@k.

    Exact but for quadrature (below 1e-10 of the spread): 1/W is the integral of exp(-t W) over t, under which the mean
    over subsets of sum_i q_i w_i exp(-t W) is a symmetric polynomial, built up candidate by candidate for every k at
    once. The integral is taken by the trapezoidal rule in log t.

    Raises: MetricError for NaN, k below 1, or a temperature that is not positive or below 1/600 of the spread.
    Source: ours; the softmax choice is Luce 1959.
    """
    ks = candidate_counts(k)
    if not temperature > 0:
        raise MetricError(f"temperature must be above 0, not {temperature}")
    parts = [(block.prompts_B, finite(block.values_BK, "quality_PK")) for block in blocks(quality_PK, "quality_PK")]
    result_PM = np.full((sum(len(prompts_B) for prompts_B, _ in parts), len(ks)), np.nan)
    for prompts_B, quality_BK in parts:
        possible_M = ks <= quality_BK.shape[1]
        if possible_M.any() and len(prompts_B):
            result_PM[np.ix_(prompts_B, possible_M)] = _softmax_means(quality_BK, ks[possible_M], temperature)
    return result_PM[:, 0] if np.ndim(k) == 0 else result_PM


def position_biased_usq(quality_PK: Rows, k: Ks, patience: float) -> Floats:
    """Expected quality of the pick of a person who may stop reading, from k candidates in random order; per prompt.

    The first candidate is read; after each, the next is read with probability `patience`. The best of those read is
    taken. As the first m of k in random order are a random m-subset, this is
    sum_{m<k} patience^(m-1) (1 - patience) max@m + patience^(k-1) max@k. At patience = 1 it is max@k.

    Raises: MetricError for NaN, k below 1, or a patience outside (0, 1].
    Source: ours; the geometric reader is that of rank-biased precision, Moffat & Zobel 2008.
    """
    ks = candidate_counts(k)
    if not 0 < patience <= 1:
        raise MetricError(f"patience must be above 0 and at most 1, not {patience}")
    read = np.arange(1, int(ks.max()) + 1)
    best_PM = np.atleast_2d(max_at_k(quality_PK, read))
    result_PM = np.empty((len(best_PM), len(ks)))
    for m, size in enumerate(ks):
        chance_M = patience ** (read[:size] - 1.0)
        chance_M[:-1] *= 1 - patience
        result_PM[:, m] = best_PM[:, :size] @ chance_M
    return result_PM[:, 0] if np.ndim(k) == 0 else result_PM


def _softmax_means(quality_BK: Floats, ks: Ints, temperature: float) -> Floats:
    logits_BK = (quality_BK - quality_BK.max(axis=1, keepdims=True)) / temperature
    faintest = float(-logits_BK.min())
    if faintest > FAINTEST:
        raise MetricError(f"temperature {temperature} is below 1/{FAINTEST:.0f} of the spread of quality: use max@k")
    nodes = np.arange(-TAIL - math.log(ks.max()), math.log(TAIL) + faintest + STEP, STEP)
    step = max(1, SCRATCH // (len(nodes) * (int(ks.max()) + 1)))
    parts = [
        _integral(quality_BK[start : start + step], logits_BK[start : start + step], np.exp(nodes), ks)
        for start in range(0, len(quality_BK), step)
    ]
    return np.concatenate(parts)


def _integral(quality_BK: Floats, logits_BK: Floats, times_T: Floats, ks: Ints) -> Floats:
    """Trapezoidal rule over log t of the mean over k-subsets of sum_i q_i w_i exp(-t W), (B, len(ks)).

    `mean_BTM[..., j]` is the mean over the j-subsets of the candidates so far of exp(-t W), `marked_BTM` that of the
    sum with one member's q w beside it.
    """
    centre_B1 = quality_BK.mean(axis=1, keepdims=True)
    sizes = np.arange(1, int(ks.max()) + 1)
    mean_BTM = np.zeros((len(quality_BK), len(times_T), len(sizes) + 1))
    marked_BTM = np.zeros_like(mean_BTM)
    mean_BTM[..., 0] = 1.0
    for index in range(quality_BK.shape[1]):
        weight_B1 = np.exp(logits_BK[:, index, None])
        decay_BT1 = np.exp(-weight_B1 * times_T)[..., None]
        gain_B11 = ((quality_BK[:, index, None] - centre_B1) * weight_B1)[..., None]
        share_M = np.minimum(sizes / (index + 1), 1.0)
        previous_BTM, marked_before_BTM = mean_BTM[..., :-1].copy(), marked_BTM[..., :-1].copy()
        mean_BTM[..., 1:] += share_M * (decay_BT1 * previous_BTM - mean_BTM[..., 1:])
        with_it_BTM = decay_BT1 * (marked_before_BTM + gain_B11 * previous_BTM)
        marked_BTM[..., 1:] += share_M * (with_it_BTM - marked_BTM[..., 1:])
    return centre_B1 + STEP * np.einsum("btm,t->bm", marked_BTM[..., ks], times_T)
