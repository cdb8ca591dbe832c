"""Intervals of many quantities of the same prompts that hold together, however many heads or layers there are."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from polymlops.errors import MetricError
from polymlops.metrics.arrays import Floats
from polymlops.metrics.statistics.bootstrap import check_level, row_blocks
from polymlops.records import Estimate

# With fewer prompts a resample often has no spread, and nothing to scale it by.
FEWEST_PROMPTS = 5


def joint_intervals(
    values_PM: ArrayLike, rng: np.random.Generator, level: float = 0.95, resamples: int = 2000
) -> list[Estimate]:
    """Means over prompts with intervals that hold for all M quantities at once at `level`.

    Bootstrap-t with the largest |t| of each resample (max-t): quantities that hang together, as heads do, cost less
    than Bonferroni asks. Prompts with a NaN in any quantity are left out (`n` counts the others); fewer than five
    give no interval. A quantity that is the same for every prompt has an interval of width 0.

    Raises: MetricError where values are not (P, M) or the level is outside (0, 1).
    Source: Romano & Wolf 2005, Econometrica 73(4), the single-step form.
    """
    check_level(level)
    array_PM = np.asarray(values_PM, dtype=np.float64)
    if array_PM.ndim != 2:
        raise MetricError(f"one row a prompt and one column a quantity are needed, not {array_PM.shape}")
    array_PM = array_PM[~np.isnan(array_PM).any(axis=1)]
    prompts = len(array_PM)
    if prompts == 0:
        return [Estimate(math.nan)] * array_PM.shape[1]
    mean_M = array_PM.mean(axis=0)
    if prompts < FEWEST_PROMPTS:
        return [Estimate(float(mean), n=prompts) for mean in mean_M]
    error_M = array_PM.std(axis=0, ddof=1) / math.sqrt(prompts)
    width_M = _largest_t(array_PM, rng, level, resamples) * error_M
    return [Estimate(float(m), float(m - w), float(m + w), prompts) for m, w in zip(mean_M, width_M, strict=True)]


def _largest_t(array_PM: Floats, rng: np.random.Generator, level: float, resamples: int) -> float:
    """The `level` quantile of max |t| over resamples of the prompts; 0 where nothing varies."""
    prompts = len(array_PM)
    centred_PM = array_PM - array_PM.mean(axis=0)
    # Rounding of equal values is no spread.
    varying_M = centred_PM.std(axis=0) > 1e-12 * np.abs(array_PM).max(axis=0)
    centred_PM = centred_PM[:, varying_M]
    if centred_PM.shape[1] == 0:
        return 0.0
    centred_PM = centred_PM / centred_PM.std(axis=0)
    largest = []
    for rows in row_blocks(resamples, prompts):
        shares_RP = rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=rows) / prompts
        mean_RM = shares_RP @ centred_PM
        variance_RM = np.maximum(shares_RP @ centred_PM**2 - mean_RM**2, 1e-12) / (prompts - 1)
        largest.append(np.abs(mean_RM / np.sqrt(variance_RM)).max(axis=1))
    return float(np.quantile(np.concatenate(largest), level))
