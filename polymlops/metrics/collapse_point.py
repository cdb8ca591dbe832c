"""The number of candidates after which one more buys next to nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from polymlops.errors import MetricError
from polymlops.metrics.arrays import Floats, Ints, counts, curve_arrays
from polymlops.metrics.statistics import bootstrap_pass_at_k_draws


@dataclass(frozen=True, slots=True)
class CollapsePoint:
    """`k` candidates are enough, or None with the reason why no such k is known.

    `low` and `high` are the interval over prompts where one was asked for (else NaN); infinity means beyond n.
    """

    k: int | None
    reason: str
    threshold: float
    low: float = math.nan
    high: float = math.nan


def collapse_point(curve: Mapping[int, float], threshold: float = 0.01) -> CollapsePoint:
    """Return the smallest k after which the gain per extra candidate stays below `threshold`.

    `curve` maps k to a value, best every k from 1 to n of the unbiased estimate; on a sparse grid the gain between
    neighbours is divided by their distance. A curve that still rises at its end has no collapse point: k is None.

    Raises: MetricError for an empty curve, NaN, or a threshold that is not positive.
    """
    ks, values_M = curve_arrays(curve)
    _check_threshold(threshold)
    if len(ks) < 2:
        return CollapsePoint(None, "one k only: a gain needs two", threshold)
    found = float(collapse_ks(ks, values_M[None, :], threshold)[0])
    if math.isinf(found):
        return CollapsePoint(None, f"beyond n: at k = {ks[-1]} the curve still gains {threshold} or more", threshold)
    return CollapsePoint(int(found), f"after k = {int(found)} each candidate adds less than {threshold}", threshold)


def bootstrap_collapse_point(
    n: ArrayLike,
    c: ArrayLike,
    rng: np.random.Generator,
    threshold: float = 0.01,
    resamples: int = 10_000,
    level: float = 0.95,
) -> CollapsePoint:
    """Collapse point of the dense pass@k curve of `c` (P,) passes in `n` (P,) samples, with a percentile interval.

    The curve runs to the smallest n. Prompts are resampled; a resample without a collapse point counts as infinity.

    Raises: MetricError as in `collapse_point` and `pass_at_k`, and where a prompt has no sample.
    """
    _check_threshold(threshold)
    smallest = int(np.min(counts(n, "n"), initial=np.iinfo(np.int64).max))
    if not 0 < smallest < np.iinfo(np.int64).max:
        raise MetricError("a collapse point needs prompts with at least one sample each")
    draws = bootstrap_pass_at_k_draws(n, c, np.arange(1, smallest + 1), rng, resamples)
    point = collapse_point(dict(zip(draws.ks.tolist(), draws.mean_M.tolist(), strict=True)), threshold)
    if smallest < 2:
        return point
    ks_R = collapse_ks(draws.ks, draws.means_RM, threshold)
    # A collapse point is a whole number or infinite: an interpolated quantile would be neither.
    low, high = np.quantile(ks_R, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return CollapsePoint(point.k, point.reason, threshold, float(low), float(high))


def collapse_ks(ks: Ints, values_RM: Floats, threshold: float) -> Floats:
    """Collapse k of each row of curves over `ks`, infinity where its last gain is not below the threshold.

    The form that a bootstrap applies to resampled curves.
    """
    flat_RM = np.diff(values_RM, axis=1) / np.diff(ks) < threshold
    # Length of the run of flat gains at the end of each row.
    run_R = np.where(flat_RM.all(axis=1), flat_RM.shape[1], (~flat_RM[:, ::-1]).argmax(axis=1))
    return np.where(run_R == 0, np.inf, ks[np.minimum(len(ks) - 1 - run_R, len(ks) - 1)])


def _check_threshold(threshold: float) -> None:
    if not threshold > 0:
        raise MetricError(f"threshold must be above 0, not {threshold}")
