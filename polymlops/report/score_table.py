"""The table of candidates made elsewhere: a row for each arm and metric, with its interval and prompts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from polymlops.errors import MetricError
from polymlops.evaluation.candidate_scores import ArmValues
from polymlops.figures.curves import Curve
from polymlops.figures.frontier import Axis, FrontierPoint
from polymlops.metrics.diversity_efficiency import der_bounds
from polymlops.report.score_collapse import ArmCollapse, arm_collapse, interval_words
from polymlops.report.score_curves import plane, plane_points, score_curves
from polymlops.report.score_draws import DrawnMeans, TableSettings, draw_means
from polymlops.report.score_metrics import Derived, derived_rows, direction
from polymlops.report.score_notes import reason_undefined


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One metric of one arm; `n` prompts are behind it, `undefined` are not.

    `bound_low` and `bound_high` are what it can reach at all, where that is less than it seems (DER). `better` is
    "higher", "lower" or "". The end of a collapse point's interval is infinite where it lies beyond n.
    """

    arm: str
    metric: str
    value: float
    low: float
    high: float
    n: int
    undefined: int
    seeds: int
    better: str
    bound_low: float = math.nan
    bound_high: float = math.nan
    note: str = ""


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """All rows, and what figures need: curves over k, and a point an arm on the plane of quality and diversity."""

    rows: tuple[ScoreRow, ...]
    curves: Mapping[str, tuple[Curve, ...]]
    points: tuple[FrontierPoint, ...]
    axes: tuple[Axis, Axis]


def score_table(arms: Sequence[ArmValues], settings: TableSettings) -> ScoreTable:
    """Estimate every metric that the arms' columns allow, with 95 % intervals over prompts (and seeds, where several).

    Raises: MetricError without arms, or for a threshold that is not positive.
    """
    if not arms:
        raise MetricError("a table needs at least one arm")
    collapses = {
        arm.arm: arm_collapse(arm, settings.threshold, np.random.default_rng([settings.seed, 0]), settings.resamples)
        for arm in arms
    }
    drawn = draw_means(arms, settings)
    rows = [row for arm in arms for row in _arm_rows(arm, drawn[arm.arm], collapses[arm.arm], settings)]
    axes, columns = plane(arms)
    curves = score_curves(arms, drawn, collapses, settings)
    return ScoreTable(tuple(rows), curves, plane_points(arms, drawn, columns), axes)


def _arm_rows(
    arm: ArmValues, drawn: DrawnMeans, collapse: ArmCollapse | None, settings: TableSettings
) -> list[ScoreRow]:
    rows = [_row(arm, item, drawn) for item in derived_rows(arm, settings.ks, settings.pass_hat, settings.gains)]
    if collapse is None:
        return rows
    after = sum(row.metric.startswith(("pass_", "der_", "coverage_")) for row in rows)
    return [*rows[:after], _collapse_row(arm, collapse), *rows[after:]]


def _row(arm: ArmValues, item: Derived, drawn: DrawnMeans) -> ScoreRow:
    found = drawn.estimate(item)
    undefined = len(arm.prompts) - found.n
    bounds, note = (math.nan, math.nan), reason_undefined(item.metric, found, undefined)
    if item.metric.startswith("der_at_") and not math.isnan(found.value):
        k = int(item.metric.rpartition("_")[2])
        covered, first = (drawn.means[name].value for name in item.columns)
        bound = der_bounds({1: first, k: covered})[k]
        bounds = (bound.low, bound.high)
    return ScoreRow(
        arm.arm,
        item.metric,
        *(found.value, found.low, found.high, found.n, undefined, len(arm.seeds)),
        direction(item.metric),
        *bounds,
        note,
    )


def _collapse_row(arm: ArmValues, collapse: ArmCollapse) -> ScoreRow:
    point = collapse.point
    words = interval_words(collapse)
    note = "; ".join(part for part in (point.reason, f"95 % interval: {words}" if words else "") if part)
    # An infinite end of the interval says the same of the point itself.
    beyond = math.inf if collapse.n > 1 else math.nan
    value = beyond if point.k is None else float(point.k)
    counts = (collapse.prompts, len(arm.prompts) - collapse.prompts, len(arm.seeds))
    return ScoreRow(arm.arm, "collapse_point", value, point.low, point.high, *counts, "", note=note)
