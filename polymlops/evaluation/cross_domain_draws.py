"""Means of several arms drawn together, and what is computed from such draws: rank correlations, ratios of gains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polymlops.metrics.arrays import Floats
from polymlops.metrics.statistics.bootstrap import interval, row_blocks
from polymlops.records import Estimate

TAILS = (0.025, 0.975)
FEWEST_ARMS = 3  # of two, the correlation is -1 or 1 whatever they are


@dataclass(frozen=True, slots=True)
class DrawnMeans:
    """Means of A arms over the P prompts where all are defined, and the same of resamples; NaN without a prompt."""

    means_A: Floats
    draws_RA: Floats
    prompts: int


def means_drawn(arms_SP: Sequence[Floats], rng: np.random.Generator, resamples: int) -> DrawnMeans:
    """Two-level bootstrap of the arms' means; draw r of every arm comes from the same resampled prompts.

    `arms_SP` holds values by seed and prompt. Arms with as many seeds share the drawn seeds.

    Source: Owen 2007, arXiv:0712.1111, as in `two_level_paired_bootstrap`.
    """
    defined_P = ~np.any([np.isnan(values_SP).any(axis=0) for values_SP in arms_SP], axis=0)
    kept = [values_SP[:, defined_P] for values_SP in arms_SP]
    prompts = int(defined_P.sum())
    if prompts == 0:
        return DrawnMeans(np.full(len(kept), np.nan), np.full((resamples, len(kept)), np.nan), 0)
    blocks = [_block(kept, rows, rng) for rows in row_blocks(resamples, prompts)]
    return DrawnMeans(np.array([values_SP.mean() for values_SP in kept]), np.concatenate(blocks), prompts)


def spearman(first: DrawnMeans, second: DrawnMeans) -> Estimate:
    """Rank correlation of the arms' means in two domains, with its interval; NaN below three arms, or where all tie.

    n counts the prompts of the domain with fewer.
    """
    prompts = min(first.prompts, second.prompts)
    if first.means_A.size < FEWEST_ARMS:
        return Estimate(math.nan, n=prompts)
    value = float(_rank_correlation(first.means_A[None, :], second.means_A[None, :])[0])
    return interval(value, _rank_correlation(first.draws_RA, second.draws_RA), TAILS, prompts)


def ratio_of_gains(here: DrawnMeans, home: DrawnMeans) -> Estimate:
    """Relative gain of arm 0 over arm 1 here, over the same at home; NaN where a base is not above 0, or gains 0."""
    means = _ratio(here.means_A[None, :], home.means_A[None, :])
    return interval(float(means[0]), _ratio(here.draws_RA, home.draws_RA), TAILS, min(here.prompts, home.prompts))


def _block(arms_SP: Sequence[Floats], rows: int, rng: np.random.Generator) -> Floats:
    prompts = arms_SP[0].shape[1]
    share_RP = rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=rows) / prompts
    share_RS = {
        seeds: rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=rows) / seeds
        for seeds in sorted({len(values_SP) for values_SP in arms_SP})
    }
    columns = [((share_RS[len(values_SP)] @ values_SP) * share_RP).sum(axis=1) for values_SP in arms_SP]
    return np.stack(columns, axis=1)


def _rank_correlation(first_RA: Floats, second_RA: Floats) -> Floats:
    from scipy.stats import rankdata

    a_RA, b_RA = (rankdata(np.round(means_RA, 12), axis=1) for means_RA in (first_RA, second_RA))
    a_RA, b_RA = a_RA - a_RA.mean(axis=1, keepdims=True), b_RA - b_RA.mean(axis=1, keepdims=True)
    spread_R = np.sqrt((a_RA**2).sum(axis=1) * (b_RA**2).sum(axis=1))
    product_R = (a_RA * b_RA).sum(axis=1)
    return np.divide(product_R, spread_R, out=np.full(len(spread_R), np.nan), where=spread_R > 0)


def _ratio(here_R2: Floats, home_R2: Floats) -> Floats:
    gain_here_R, gain_home_R = _relative_gain(here_R2), _relative_gain(home_R2)
    return np.divide(gain_here_R, gain_home_R, out=np.full(len(here_R2), np.nan), where=gain_home_R != 0)


def _relative_gain(means_R2: Floats) -> Floats:
    arm_R, base_R = means_R2[:, 0], means_R2[:, 1]
    return np.divide(arm_R - base_R, base_R, out=np.full(len(base_R), np.nan), where=base_R > 0)
