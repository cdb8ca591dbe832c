"""Means of every column of every arm, with joint bootstrap draws, so that any function of them has an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from polymlops.evaluation.candidate_scores import ArmValues
from polymlops.metrics.arrays import Floats
from polymlops.metrics.statistics.bootstrap import interval
from polymlops.records import Estimate
from polymlops.report.estimates import TAILS, estimate_means, joint_draws
from polymlops.report.score_metrics import Derived, columns_of


@dataclass(frozen=True, slots=True)
class TableSettings:
    """What the table shows and how its intervals are drawn; figures draw at `curve_ks` as well."""

    ks: tuple[int, ...]
    resamples: int = 10_000
    seed: int = 0
    threshold: float = 0.01
    pass_hat: bool = False
    curve_ks: tuple[int, ...] = ()
    gains: bool = False


@dataclass(frozen=True, slots=True)
class DrawnMeans:
    """Means of an arm's columns: estimates, and joint bootstrap draws (R,) of each."""

    means: Mapping[str, Estimate]
    draws_R: Mapping[str, Floats]

    def estimate(self, row: Derived) -> Estimate:
        """Value and interval of a function of means; n is the smallest of its columns'."""
        parts = [self.means[name] for name in row.columns]
        value = float(row.of_means(*(np.array([part.value]) for part in parts))[0])
        n = min(part.n for part in parts)
        if n < 2:
            return Estimate(value, n=n)
        return interval(value, row.of_means(*(self.draws_R[name] for name in row.columns)), TAILS, n)


def draw_means(arms: Sequence[ArmValues], settings: TableSettings) -> dict[str, DrawnMeans]:
    """Joint draws over the prompts of all arms; a prompt that an arm does not answer is undefined there."""
    prompts = sorted({prompt for arm in arms for prompt in arm.prompts})
    columns = {arm.arm: columns_of(arm, settings.ks) for arm in arms}
    names = list(dict.fromkeys(name for arm in arms for name in columns[arm.arm]))
    tables_SPM = {arm.arm: _aligned(arm, columns[arm.arm], names, prompts) for arm in arms}
    draws_RM = joint_draws(tables_SPM, np.random.default_rng([settings.seed, 1]), settings.resamples)
    return {
        arm: DrawnMeans(
            dict(zip(names, estimate_means(table_SPM, draws_RM[arm]), strict=True)),
            dict(zip(names, draws_RM[arm].T, strict=True)),
        )
        for arm, table_SPM in tables_SPM.items()
    }


def _aligned(arm: ArmValues, columns: Mapping[str, Floats], names: Sequence[str], prompts: Sequence[str]) -> Floats:
    table_SPM = np.full((len(arm.seeds), len(prompts), len(names)), np.nan)
    place_P = np.searchsorted(np.array(prompts), np.array(arm.prompts))
    for m, name in enumerate(names):
        if name in columns:
            table_SPM[:, place_P, m] = columns[name]
    return table_SPM
