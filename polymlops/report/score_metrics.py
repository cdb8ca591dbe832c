"""Which rows the table of an arm has, in order, and how each follows from means over prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from polymlops.evaluation.candidate_scores import ArmValues
from polymlops.metrics.arrays import Floats
from polymlops.metrics.diversity_efficiency import coverage_efficiency_of_means
from polymlops.report.scores import LOWER_IS_BETTER

# More or less of these is neither better nor worse by itself.
NO_DIRECTION = ("der_at", "coverage_efficiency", "collapse_point", "length")
LOWER = (*sorted(LOWER_IS_BETTER), "duplicate_share", "regret_")
NO_GAIN = 1e-12


@dataclass(frozen=True, slots=True)
class Derived:
    """A row of the table: a function of the means of some columns, elementwise, so that it takes resamples as well."""

    metric: str
    columns: tuple[str, ...]
    of_means: Callable[..., Floats]


def direction(metric: str) -> str:
    """Which direction of a metric is better: "higher", "lower", or "" where neither is."""
    if metric.startswith(NO_DIRECTION):
        return ""
    return "lower" if metric.startswith(LOWER) else "higher"


def restricted(column: str, k: int) -> str:
    """Name of a column's copy over the prompts that have k candidates, so that ratios compare the same prompts."""
    return f"{column}|{k}"


def columns_of(arm: ArmValues, ks: Sequence[int]) -> dict[str, Floats]:
    """The metrics of an arm, and copies of its means at k = 1 over the prompts that have k candidates."""
    columns = dict(arm.values_SP)
    first = [name for name in ("pass_at_1", "quality") if name in columns]
    for k in ks:
        has_k_SP = arm.counted_SP >= k
        columns |= {restricted(name, k): np.where(has_k_SP, columns[name], np.nan) for name in first}
    return columns


def derived_rows(arm: ArmValues, ks: Sequence[int], pass_hat: bool, gains: bool = False) -> list[Derived]:
    """The rows of an arm for these ks; what its columns do not allow is not there. `gains` are those over k = 1."""
    rows: list[Derived] = []
    above = [k for k in ks if k > 1]
    if arm.passes_SP is not None:
        rows += [_mean(f"pass_at_{k}") for k in ks]
        rows += [_mean(f"pass_hat_at_{k}") for k in above if pass_hat]
        rows += [_ratio(k) for k in above]
        rows += [_coverage(k) for k in above]
    if arm.judged_by == "quality":
        rows += [_mean("quality"), *(_mean(f"max_at_{k}") for k in above)]
    for selector in arm.selectors:
        rows += _selection(arm, selector, above)
    rows += _gains(arm, above) if gains else []
    return rows + [_mean(name) for name in arm.diversity]


def _selection(arm: ArmValues, selector: str, ks: Sequence[int]) -> list[Derived]:
    mean, oracle = ("quality", "max_at") if arm.judged_by == "quality" else ("pass_at_1", "pass_at")
    pairs = {k: (f"usq_{selector}_at_{k}", f"{oracle}_{k}") for k in ks}
    return [
        *(_mean(usq) for usq, _ in pairs.values()),
        *(Derived(f"efficiency_{selector}_at_{k}", (*pairs[k], restricted(mean, k)), efficiency) for k in ks),
        *(Derived(f"regret_{selector}_at_{k}", pairs[k], _regret) for k in ks),
        _mean(f"correlation_{selector}"),
    ]


def _gains(arm: ArmValues, ks: Sequence[int]) -> list[Derived]:
    """What the best, and each selector's pick, of k is above the mean candidate."""
    if not arm.judged_by:
        return []
    mean, oracle = ("quality", "max_at") if arm.judged_by == "quality" else ("pass_at_1", "pass_at")
    picks = [("oracle_gain", oracle), *((f"selection_gain_{name}", f"usq_{name}_at") for name in arm.selectors)]
    return [Derived(f"{gain}_at_{k}", (f"{pick}_{k}", restricted(mean, k)), _gain) for gain, pick in picks for k in ks]


def efficiency(usq: Floats, oracle: Floats, mean: Floats) -> Floats:
    """Selection gain over oracle gain, NaN where the oracle gains nothing; as in `selection_report`."""
    gain, best = usq - mean, oracle - mean
    gains = np.abs(best) > NO_GAIN * np.maximum(1.0, np.abs(oracle))
    return np.divide(gain, best, out=np.full(best.shape, np.nan), where=gains)


def _regret(usq: Floats, oracle: Floats) -> Floats:
    return oracle - usq


def _gain(pick: Floats, mean: Floats) -> Floats:
    """Pick minus mean; rounding errors are no gain."""
    gain = pick - mean
    return np.where(np.abs(gain) > NO_GAIN * np.maximum(1.0, np.abs(pick)), gain, 0.0 * gain)


def _same(mean: Floats) -> Floats:
    return mean


def _mean(name: str) -> Derived:
    return Derived(name, (name,), _same)


def _ratio(k: int) -> Derived:
    return Derived(f"der_at_{k}", (f"pass_at_{k}", restricted("pass_at_1", k)), partial(efficiency_ratio, k=k))


def efficiency_ratio(covered: Floats, first: Floats, k: int) -> Floats:
    """DER@k = pass@k / (k pass@1), NaN where pass@1 is 0; as in `diversity_efficiency_ratio`."""
    return np.divide(covered, k * first, out=np.full(first.shape, np.nan), where=first > 0)


def _coverage(k: int) -> Derived:
    columns = (restricted("pass_at_1", k), f"pass_at_{k}")
    return Derived(f"coverage_efficiency_at_{k}", columns, partial(coverage_efficiency_of_means, k=k))
