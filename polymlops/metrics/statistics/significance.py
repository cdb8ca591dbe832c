"""Permutation tests on paired differences, and the correction for testing many of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from polymlops.errors import MetricError
from polymlops.metrics.arrays import Floats, vector
from polymlops.metrics.statistics.bootstrap import paired_difference, row_blocks


@dataclass(frozen=True, slots=True)
class SignFlipTest:
    """Two-sided p of the mean difference `mean` over n prompts; `exact` where every sign pattern was tried."""

    mean: float
    p: float
    n: int
    exact: bool


def sign_flip_test(a_P: ArrayLike, b_P: ArrayLike, rng: np.random.Generator, resamples: int = 10_000) -> SignFlipTest:
    """Test whether a - b is symmetric about 0 over prompts, by flipping the signs of the differences.

    All 2^P patterns are tried where they are no more than `resamples`; else `resamples` random ones, and the observed
    pattern counts as one more, so that p is never 0. No prompt: p is NaN.

    Raises: MetricError for NaN or shapes that differ.
    Source: Fisher 1935; Phipson & Smyth 2010 for (1 + b) / (1 + R).
    """
    difference_P = paired_difference(a_P, b_P)
    prompts = len(difference_P)
    if prompts == 0:
        return SignFlipTest(float("nan"), float("nan"), 0, True)
    total = float(difference_P.sum())
    # Sums in another order differ in the last digits: patterns as extreme as the observed one must still count.
    bar = abs(total) - 1e-12 * float(np.abs(difference_P).sum())
    exact = prompts < 63 and 2**prompts <= resamples
    if exact:
        patterns = (np.arange(2**prompts)[:, None] >> np.arange(prompts)) & 1
        p = float((np.abs((1 - 2.0 * patterns) @ difference_P) >= bar).mean())
    else:
        p = (1 + _extreme_flips(difference_P, bar, resamples, rng)) / (1 + resamples)
    return SignFlipTest(total / prompts, p, prompts, exact)


def holm(p_values: ArrayLike) -> Floats:
    """P-values adjusted for the size of their family, in the order given; compare them with the level itself.

    Raises: MetricError for NaN or a value outside [0, 1].
    Source: Holm 1979.
    """
    p_M = vector(p_values, "p_values")
    if ((p_M < 0) | (p_M > 1)).any():
        raise MetricError("p_values must lie in [0, 1]")
    order = p_M.argsort(kind="stable")
    adjusted = np.minimum(1.0, np.maximum.accumulate(p_M[order] * np.arange(len(p_M), 0, -1)))
    result = np.empty_like(p_M)
    result[order] = adjusted
    return result


def _extreme_flips(difference_P: Floats, bar: float, resamples: int, rng: np.random.Generator) -> int:
    prompts, extreme = len(difference_P), 0
    for rows in row_blocks(resamples, prompts):
        signs = rng.integers(0, 2, size=(rows, prompts), dtype=np.int8)
        extreme += int((np.abs((1.0 - 2.0 * signs) @ difference_P) >= bar).sum())
    return extreme
