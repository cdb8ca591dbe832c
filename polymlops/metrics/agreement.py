"""Agreement of judges beyond chance: Cohen's kappa for two, Krippendorff's alpha for any number, with intervals.

Ratings are (judges, items), NaN where a judge has no verdict. 1 is full agreement, 0 what chance gives, below 0 worse;
NaN where nothing was rated twice, or where everybody always says the same, so that chance agrees too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polymlops.errors import MetricError
from polymlops.metrics.arrays import Floats, Ints
from polymlops.metrics.statistics import bootstrap_function
from polymlops.records import Estimate

Level = Literal["nominal", "ordinal", "interval"]
Weights = Literal["none", "quadratic"]

MOST_CATEGORIES = 64  # a table has their square, for every item


@dataclass(frozen=True, slots=True)
class Agreement:
    """Every coefficient of two judges, with intervals. `items` have both verdicts, `missing` have not."""

    kappa: Estimate
    quadratic_kappa: Estimate
    alpha_nominal: Estimate
    alpha_ordinal: Estimate
    alpha_interval: Estimate
    items: int
    missing: int


@dataclass(frozen=True, slots=True)
class _Tables:
    """One table an item, flattened, (P, C * C), over sorted categories; without items of fewer than two ratings."""

    tables_PM: Floats
    categories_C: Floats


def cohen_kappa(a_P: ArrayLike, b_P: ArrayLike, weights: Weights = "none") -> float:
    """Cohen's kappa of two judges over the items that both rated.

    `quadratic` weighs a disagreement by the squared difference of the two values, so that near misses cost little.

    Raises: MetricError for infinite values, shapes that differ, or more than 64 different values.
    Source: Cohen 1960; Cohen 1968 for the weights.
    """
    found = _joint(_pair(a_P, b_P))
    return _value(found, _kappa_of(found.categories_C, weights))


def krippendorff_alpha(ratings_JP: ArrayLike, level: Level = "nominal") -> float:
    """Krippendorff's alpha of any number of judges; an item counts by the ratings it has, if it has at least two.

    The distance of two values is 1 (`nominal`), the squared number of ratings between them (`ordinal`), or their
    squared difference (`interval`).

    Raises: MetricError for infinite values, another shape than (judges, items), or more than 64 different values.
    Source: Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", sections C and D.
    """
    found = _coincidences(_ratings(ratings_JP))
    return _value(found, _alpha_of(found.categories_C, level, len(found.tables_PM)))


def agreement(
    a_P: ArrayLike,
    b_P: ArrayLike,
    rng: np.random.Generator,
    resamples: int = 10_000,
    clusters_P: Sequence[Hashable] | None = None,
) -> Agreement:
    """All coefficients of two judges over the same items, with bootstrap intervals over the items that both rated.

    `clusters_P` names what each item belongs to (its prompt); whole clusters are then drawn, and n counts them.

    Raises: MetricError as in `cohen_kappa`, and where the clusters are not as many as the items.
    """
    ratings_JP = _pair(a_P, b_P)
    rated_P = np.atleast_1d(np.isfinite(ratings_JP).all(axis=0))
    members = _members(clusters_P, rated_P)
    joint, coincidences = (_gathered(made(ratings_JP), members) for made in (_joint, _coincidences))
    items = int(rated_P.sum())

    def estimate(found: _Tables, function: Callable[[Floats], Floats]) -> Estimate:
        return bootstrap_function(found.tables_PM, function, rng, resamples)

    def alpha(level: Level) -> Estimate:
        return estimate(coincidences, _alpha_of(coincidences.categories_C, level, len(coincidences.tables_PM)))

    return Agreement(
        kappa=estimate(joint, _kappa_of(joint.categories_C, "none")),
        quadratic_kappa=estimate(joint, _kappa_of(joint.categories_C, "quadratic")),
        alpha_nominal=alpha("nominal"),
        alpha_ordinal=alpha("ordinal"),
        alpha_interval=alpha("interval"),
        items=items,
        missing=len(rated_P) - items,
    )


def _members(clusters_P: Sequence[Hashable] | None, rated_P: NDArray[np.bool_]) -> Ints:
    """The number of the cluster of each item that was rated, from 0; without clusters each item is its own."""
    if clusters_P is None:
        return np.arange(int(rated_P.sum()))
    if len(clusters_P) != len(rated_P):
        raise MetricError(f"{len(clusters_P)} clusters for {len(rated_P)} items: name one an item")
    numbers: dict[Hashable, int] = {}
    rated = [cluster for cluster, kept in zip(clusters_P, rated_P, strict=True) if kept]
    return np.array([numbers.setdefault(cluster, len(numbers)) for cluster in rated], dtype=np.int64)


def _gathered(found: _Tables, members_P: Ints) -> _Tables:
    """The tables summed within each cluster."""
    sums_GM = np.zeros((int(members_P.max(initial=-1)) + 1, found.tables_PM.shape[1]))
    np.add.at(sums_GM, members_P, found.tables_PM)
    return _Tables(sums_GM, found.categories_C)


def _pair(a_P: ArrayLike, b_P: ArrayLike) -> Floats:
    both: Any = [a_P, b_P]
    return _ratings(both)


def _ratings(values: ArrayLike) -> Floats:
    try:
        ratings_JP = np.asarray(values, dtype=np.float64)
    except ValueError:
        raise MetricError("the judges have ratings of different lengths: one a judge and item is needed") from None
    if ratings_JP.ndim != 2:
        raise MetricError(f"ratings have shape {ratings_JP.shape}: they must be (judges, items)")
    if np.isinf(ratings_JP).any():
        raise MetricError("ratings hold an infinite value; NaN is what stands for a missing one")
    return ratings_JP


def _joint(ratings_JP: Floats) -> _Tables:
    """The first judge's category by the second's, 1 an item."""
    both_JP = ratings_JP[:, ~np.isnan(ratings_JP).any(axis=0)]
    categories_C, codes_JP = _categories(both_JP)
    size = len(categories_C)
    tables_PM = np.zeros((both_JP.shape[1], size * size))
    tables_PM[np.arange(len(tables_PM)), codes_JP[0] * size + codes_JP[1]] = 1
    return _Tables(tables_PM, categories_C)


def _coincidences(ratings_JP: Floats) -> _Tables:
    """Ordered pairs of an item's ratings by different judges, each counted 1 / (ratings of the item - 1)."""
    paired_JP = ratings_JP[:, (~np.isnan(ratings_JP)).sum(axis=0) >= 2]
    categories_C, codes_JP = _categories(paired_JP)
    size, items = len(categories_C), paired_JP.shape[1]
    counts_PC = np.zeros((items, size))
    for codes_P, rated_P in zip(codes_JP, ~np.isnan(paired_JP), strict=True):
        counts_PC[np.flatnonzero(rated_P), codes_P[rated_P]] += 1
    pairs_PCC = counts_PC[:, :, None] * counts_PC[:, None, :]
    pairs_PCC[:, np.arange(size), np.arange(size)] -= counts_PC  # nobody is paired with themselves
    others_P = np.maximum(counts_PC.sum(axis=1) - 1, 1)
    return _Tables((pairs_PCC / others_P[:, None, None]).reshape(items, size * size), categories_C)


def _categories(ratings_JP: Floats) -> tuple[Floats, Ints]:
    """Different values in order, and the place of each rating among them; a missing one has any."""
    categories_C = np.unique(ratings_JP[~np.isnan(ratings_JP)])
    if len(categories_C) > MOST_CATEGORIES:
        raise MetricError(
            f"ratings have {len(categories_C)} different values, more than {MOST_CATEGORIES}: round them to a scale"
        )
    codes_JP = np.searchsorted(categories_C, np.nan_to_num(ratings_JP, nan=categories_C[0] if len(categories_C) else 0))
    return categories_C, codes_JP


def _value(found: _Tables, function: Callable[[Floats], Floats]) -> float:
    if len(found.tables_PM) == 0:
        return math.nan
    return float(function(found.tables_PM.mean(axis=0, keepdims=True))[0])


def _kappa_of(categories_C: Floats, weights: Weights) -> Callable[[Floats], Floats]:
    """Kappa as a function of mean joint tables, (R, C * C) to (R,)."""
    distance_CC = _distance(categories_C, "nominal" if weights == "none" else "interval")

    def kappa(means_RM: Floats) -> Floats:
        joint_RCC = _square(means_RM / means_RM.sum(axis=1, keepdims=True), categories_C)
        chance_RCC = joint_RCC.sum(axis=2)[:, :, None] * joint_RCC.sum(axis=1)[:, None, :]
        return _one_minus_ratio((joint_RCC * distance_CC).sum((1, 2)), (chance_RCC * distance_CC).sum((1, 2)))

    return kappa


def _alpha_of(categories_C: Floats, level: Level, items: int) -> Callable[[Floats], Floats]:
    """Alpha as a function of mean coincidences of so many items or clusters, (R, C * C) to (R,)."""

    def alpha(means_RM: Floats) -> Floats:
        coincidences_RCC = _square(means_RM, categories_C) * items
        ratings_RC = coincidences_RCC.sum(axis=2)
        if level == "ordinal":  # the distance of two values' mean ranks
            ranks_RC = ratings_RC.cumsum(axis=1) - ratings_RC / 2
            distance = (ranks_RC[:, :, None] - ranks_RC[:, None, :]) ** 2
        else:
            distance = _distance(categories_C, level)[None]
        observed_R = (coincidences_RCC * distance).sum((1, 2))
        chance_R = (ratings_RC[:, :, None] * ratings_RC[:, None, :] * distance).sum((1, 2))
        return _one_minus_ratio(observed_R * (ratings_RC.sum(axis=1) - 1), chance_R)

    return alpha


def _distance(categories_C: Floats, level: Literal["nominal", "interval"]) -> Floats:
    difference_CC = categories_C[:, None] - categories_C[None, :]
    return difference_CC**2 if level == "interval" else (difference_CC != 0).astype(np.float64)


def _square(means_RM: Floats, categories_C: Floats) -> Floats:
    return means_RM.reshape(len(means_RM), len(categories_C), len(categories_C))


def _one_minus_ratio(top_R: Floats, bottom_R: Floats) -> Floats:
    return 1 - np.divide(top_R, bottom_R, out=np.full(len(top_R), np.nan), where=bottom_R > 0)
