"""How large a difference is, and how large it must be to be seen."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from polymlops.errors import MetricError
from polymlops.metrics.arrays import finite, vector
from polymlops.metrics.statistics.bootstrap import paired_difference


def cohens_d(a_P: ArrayLike, b_P: ArrayLike) -> float:
    """Mean of the paired differences a - b over their standard deviation (n - 1); NaN where that is 0 or undefined.

    Raises: MetricError for NaN or shapes that differ.
    Source: Cohen 1988, d_z for paired designs.
    """
    difference_P = paired_difference(a_P, b_P)
    if len(difference_P) < 2 or np.ptp(difference_P) == 0:
        return math.nan
    return float(difference_P.mean() / difference_P.std(ddof=1))


def cliffs_delta(a: ArrayLike, b: ArrayLike) -> float:
    """P(a > b) - P(a < b) over all pairs of one value of each, in [-1, 1]; NaN where either is empty.

    Raises: MetricError for NaN or more than one axis.
    Source: Cliff 1993.
    """
    ours, theirs = vector(a, "a"), np.sort(vector(b, "b"))
    if len(ours) == 0 or len(theirs) == 0:
        return math.nan
    below = np.searchsorted(theirs, ours, side="left").sum()
    above = (len(theirs) - np.searchsorted(theirs, ours, side="right")).sum()
    return float(below - above) / (len(ours) * len(theirs))


def interquartile_mean(scores: ArrayLike) -> float:
    """Mean of the middle half of all scores, a quarter (rounded down) cut off at each end; NaN where there is none.

    `scores` has any shape, seeds x prompts or seeds alone. With fewer than four scores nothing is cut.

    Raises: MetricError for NaN.
    Source: Agarwal et al. 2021, arXiv:2108.13264, as in rliable (scipy's trimmed mean at 0.25).
    """
    ordered = np.sort(finite(scores, "scores"), axis=None)
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean()) if len(ordered) else math.nan


def minimum_detectable_effect(sd: float, n: int, level: float = 0.95, power: float = 0.8) -> float:
    """Smallest true mean difference that n prompts show with this power, in the unit of `sd`.

    `sd` is the standard deviation of the per-prompt difference; `level` that of the two-sided interval.

    Raises: MetricError for a negative sd, n below 1, or a level or power outside (0, 1).
    Source: Miller 2024, arXiv:2411.00640, section 5.
    """
    from scipy.special import ndtri

    if not (sd >= 0 and math.isfinite(sd)) or n < 1 or not (0 < level < 1 and 0 < power < 1):
        raise MetricError(f"no effect size for sd={sd}, n={n}, level={level}, power={power}")
    return float((ndtri((1 + level) / 2) + ndtri(power)) * sd / math.sqrt(n))
