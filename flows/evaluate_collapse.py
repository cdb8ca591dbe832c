"""How many candidates are enough, from the scores of one model."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import polars as pl

from polymlops.metrics.collapse_point import bootstrap_collapse_point
from polymlops.report.scores import read_scores
from polymlops.tracking.records import TableRow

LABEL = "model/0"


def collapse_row(scores: Path, resamples: int) -> tuple[list[TableRow], str]:
    """A row of the table where there is a collapse point within n, and a sentence in any case."""
    found = read_scores(LABEL, scores) if _is_scored(scores) else None
    if found is None or not found.all_judged_P.any():
        return [], "collapse point: not known, as candidates are not judged"
    passed_P = found.passed_PK[found.all_judged_P].sum(axis=1)
    rng = np.random.default_rng(0)
    point = bootstrap_collapse_point(np.full(len(passed_P), found.n), passed_P, rng, resamples=resamples)
    ends = [f"beyond n = {found.n}" if math.isinf(end) else f"{end:.0f}" for end in (point.low, point.high)]
    interval = "" if math.isnan(point.low) else f"; 95 % interval: {ends[0]} to {ends[1]}"
    note = f"collapse point: {point.reason}{interval}"
    if point.k is None:
        return [], note
    row = TableRow(arm="model", metric="collapse_point", value=point.k, low=point.low, high=point.high, n=len(passed_P))
    return [row], note


def _is_scored(scores: Path) -> bool:
    frame = pl.read_parquet(scores / "scores.parquet")
    return "verdict" in frame.columns or frame["passed"].null_count() == 0
