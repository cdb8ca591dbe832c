"""A table of scores on disk: parquet and CSV for programs, JSON for the tracker, LaTeX for a paper, and the figures."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from polymlops.evaluation.candidate_scores import ArmValues
from polymlops.evaluation.candidates import Candidates
from polymlops.figures.curves import curves_figure
from polymlops.figures.frontier import frontier_figure
from polymlops.figures.saving import save_figure
from polymlops.report.json_files import write_json
from polymlops.report.latex import booktabs
from polymlops.report.score_table import ScoreRow, ScoreTable


def write_rows(rows: Sequence[Any], folder: Path, name: str) -> None:
    """Write frozen records as `<name>.parquet`, `.csv` and `.json`; NaN is null."""
    plain = [asdict(row) for row in rows]
    frame = pl.DataFrame(plain, infer_schema_length=None).fill_nan(None)
    frame.write_parquet(folder / f"{name}.parquet")
    frame.write_csv(folder / f"{name}.csv")
    write_json(folder / f"{name}.json", plain)


def write_scores(
    table: ScoreTable, candidates: Candidates, arms: Sequence[ArmValues], summary: Mapping[str, Any], folder: Path
) -> None:
    """Write everything that is known about the candidates to a folder.

    table.{parquet,csv,json,tex}: the rows. scores.parquet, one row a candidate without its text, and diversity.parquet,
    one row a prompt: what `polymlops compare` reads. summary.json: settings and notes. Figures as PDF and PNG.
    """
    write_rows(table.rows, folder, "table")
    (folder / "table.tex").write_text(booktabs(_cells(table.rows)), encoding="utf-8")
    write_json(folder / "summary.json", summary)
    scored = candidates.frame.drop("line", "file", "text")
    scored.select(column for column in scored if column.null_count() < len(column)).write_parquet(
        folder / "scores.parquet"
    )
    diversity_frame(arms).write_parquet(folder / "diversity.parquet")
    write_figures(table, folder)


def write_figures(table: ScoreTable, folder: Path) -> None:
    """Write the curves, each figure with all arms, and the frontier where two quantities span a plane."""
    for name, curves in table.curves.items():
        save_figure(curves_figure(curves), folder, re.sub(r"[^\w-]", "_", name))
    if table.points:
        save_figure(frontier_figure(table.points, *table.axes), folder, "pareto_frontier")


def diversity_frame(arms: Sequence[ArmValues]) -> pl.DataFrame:
    """Diversity by arm, seed and prompt; null where undefined."""
    schema: dict[str, Any] = {"arm": pl.String, "seed": pl.Int64, "prompt_id": pl.String}
    frames = [pl.DataFrame(schema=schema)]
    for arm in arms:
        for row, seed in enumerate(arm.seeds):
            values = {name: arm.values_SP[name][row] for name in arm.diversity}
            columns = {"arm": [arm.arm] * len(arm.prompts), "seed": seed, "prompt_id": arm.prompts, **values}
            frames.append(pl.DataFrame(columns).cast({"seed": pl.Int64}).filter(pl.Series(arm.n_SP[row] > 0)))
    return pl.concat(frames, how="diagonal").fill_nan(None)


def _cells(rows: Sequence[ScoreRow]) -> list[list[str]]:
    """Metrics down, arms across, the first row their names."""
    arms = list(dict.fromkeys(row.arm for row in rows))
    found = {(row.metric, row.arm): row for row in rows}
    metrics = dict.fromkeys(row.metric for row in rows)
    body = [[metric, *(_cell(found.get((metric, arm))) for arm in arms)] for metric in metrics]
    return [["metric", *arms], *body]


def _cell(row: ScoreRow | None) -> str:
    if row is None:
        return ""
    digits = digits_of(row.metric)
    value, low, high = (shown(number, digits) for number in (row.value, row.low, row.high))
    return value if math.isnan(row.low) else f"{value} [{low}, {high}]"


def digits_of(metric: str) -> int:
    """Decimals with which a metric is shown; a collapse point is a whole number."""
    return 0 if metric == "collapse_point" else 3


def shown(value: float, digits: int = 3) -> str:
    """A number for people; a dash where it is undefined, "beyond n" where a collapse point is."""
    if math.isnan(value):
        return "-"
    # Adding 0 turns the minus zero of a rounded tiny number into 0.
    return "beyond n" if math.isinf(value) else f"{round(value, digits) + 0.0:.{digits}f}"
