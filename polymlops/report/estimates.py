"""From values by seed and prompt to estimates: seeds pooled, intervals that speak of new prompts and new seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from polymlops.errors import MetricError
from polymlops.metrics.arrays import Floats
from polymlops.metrics.statistics.bootstrap import interval
from polymlops.records import Estimate

TAILS = (0.025, 0.975)
SCRATCH = 2**22  # counts held at once, 32 MB


@dataclass(frozen=True, slots=True)
class PooledArm:
    """Values of one arm, `values_SP[metric]` by training seed and prompt; NaN where undefined."""

    arm: str
    seeds: tuple[int, ...]
    values_SP: Mapping[str, Floats]

    def table_SPM(self, metrics: Sequence[str]) -> Floats:
        """The named metrics as one array."""
        return np.stack([self.values_SP[metric] for metric in metrics], axis=-1)


def joint_draws(arms_SPM: Mapping[str, Floats], rng: np.random.Generator, resamples: int) -> dict[str, Floats]:
    """Two-level bootstrap of the means of M metrics, for several arms at once: arm -> draws (R, M).

    Draw r of every arm and metric comes from the same resampled prompts, so that draws can be combined: fronts over
    arms, clouds over two metrics. Seeds are resampled on their own, the same way in arms with as many of them. A prompt
    with NaN in any seed is left out of that metric.

    Source: Owen 2007, arXiv:0712.1111; `two_level_paired_bootstrap` gives the same interval for one metric at a time.
    """
    shapes = {values.shape[1:] for values in arms_SPM.values()}
    if len(shapes) != 1:
        raise MetricError(f"arms differ in prompts x metrics: {sorted(shapes)}")
    prompts, _ = shapes.pop()
    blocks: dict[str, list[Floats]] = {arm: [] for arm in arms_SPM}
    seed_numbers = sorted({len(values) for values in arms_SPM.values()})
    step = max(1, SCRATCH // prompts)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        counts_BP = _drawn_counts(prompts, size, rng)
        seed_counts = {seeds: _drawn_counts(seeds, size, rng) for seeds in seed_numbers}
        for arm, values_SPM in arms_SPM.items():
            blocks[arm].append(_weighted_means(values_SPM, counts_BP, seed_counts[len(values_SPM)]))
    return {arm: np.concatenate(parts) for arm, parts in blocks.items()}


def estimate_means(values_SPM: Floats, draws_RM: Floats) -> list[Estimate]:
    """Mean of each metric over seeds and the prompts where it is defined, which n counts, with its 95 % interval."""
    return [_estimate(*pair) for pair in zip(np.moveaxis(values_SPM, -1, 0), draws_RM.T, strict=True)]


def _estimate(values_SP: Floats, draws_R: Floats) -> Estimate:
    defined_SP = values_SP[:, ~np.isnan(values_SP).any(axis=0)]
    n = defined_SP.shape[1]
    # One prompt says nothing about others.
    if n < 2:
        return Estimate(float(defined_SP.mean()) if n else math.nan, n=n)
    return interval(float(defined_SP.mean()), draws_R, TAILS, n)


def _drawn_counts(units: int, resamples: int, rng: np.random.Generator) -> Floats:
    """How often each unit is drawn in each resample, (resamples, units)."""
    return rng.multinomial(units, np.full(units, 1 / units), size=resamples).astype(np.float64)


def _weighted_means(values_SPM: Floats, counts_BP: Floats, seed_counts_BS: Floats) -> Floats:
    defined_PM = ~np.isnan(values_SPM).any(axis=0)
    filled_SPM = np.where(defined_PM, values_SPM, 0.0)
    weight_BM = counts_BP @ defined_PM.astype(np.float64)
    total_BM = np.zeros_like(weight_BM)
    for seed, values_PM in enumerate(filled_SPM):
        total_BM += seed_counts_BS[:, seed, None] / len(filled_SPM) * (counts_BP @ values_PM)
    return np.divide(total_BM, weight_BM, out=np.full(weight_BM.shape, np.nan), where=weight_BM > 0)
