"""Judge reports as tables for files and as metrics for a tracker."""

from __future__ import annotations

import math
from collections.abc import Sequence

import polars as pl

from polymlops.evaluation.judge_records import JudgeReport, PairReport

TAIL: dict[str, type[pl.DataType]] = {
    "outcome": pl.String,
    "reason": pl.String,
    "input_tokens": pl.Int64,
    "output_tokens": pl.Int64,
    "dollars": pl.Float64,
    "cached": pl.Boolean,
}


def verdict_table(report: JudgeReport) -> pl.DataFrame:
    """One row an item: item_key, a column a criterion (null where not scored), outcome, reason, tokens, dollars."""
    rows = [
        {"item_key": verdict.item_key}
        | {name: None if verdict.scores is None else verdict.scores[name] for name in report.criteria}
        | {name: getattr(verdict, name) for name in TAIL}
        for verdict in report.verdicts
    ]
    schema: dict[str, type[pl.DataType]] = {"item_key": pl.String}
    return pl.DataFrame(rows, schema | dict.fromkeys(report.criteria, pl.Int64) | TAIL)


def pair_table(report: PairReport) -> pl.DataFrame:
    """One row a pair: item_key, winner, preference (NaN where unscored), flipped, outcome, reason, tokens, dollars."""
    names: dict[str, type[pl.DataType]] = {
        "item_key": pl.String,
        "winner": pl.String,
        "preference": pl.Float64,
        "flipped": pl.Boolean,
    }
    rows = [{name: getattr(verdict, name) for name in names | TAIL} for verdict in report.verdicts]
    return pl.DataFrame(rows, names | TAIL)


def judge_metrics(report: JudgeReport) -> dict[str, float]:
    """Mean score by criterion over the scored items (NaN where there is none), the scored share, and the totals."""
    scores = [verdict.scores for verdict in report.verdicts if verdict.scores is not None]
    means = {f"judge/{name}": mean([found[name] for found in scores]) for name in report.criteria}
    share = {"judge/scored_share": mean([verdict.scores is not None for verdict in report.verdicts])}
    return means | share | {f"judge/{name}": value for name, value in report.totals.metrics().items()}


def pair_metrics(report: PairReport) -> dict[str, float]:
    """How often the first text won, how far the order decided, and the totals."""
    preferences = [verdict.preference for verdict in report.verdicts if not math.isnan(verdict.preference)]
    rates = {
        "first_wins": mean(preferences),
        "scored_pairs": float(report.scored_pairs),
        "flip_rate": report.flip_rate,
        "wavering_rate": report.wavering_rate,
        "tie_rate": report.tie_rate,
        "shown_first_rate": report.shown_first_rate,
    }
    totals = report.totals.metrics()
    return {f"judge_pairs/{name}": value for name, value in (rates | totals).items()}


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean; NaN where there is nothing."""
    return sum(values) / len(values) if values else math.nan
