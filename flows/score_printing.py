"""Scores and comparisons for people, as tables with what must be said beside them, and for programs, as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from polymlops.report.arm_differences import ArmDifference
from polymlops.report.json_files import json_ready
from polymlops.report.score_files import digits_of, shown
from polymlops.report.score_table import ScoreRow

PLAIN_WIDTH = 160  # columns where stdout is no terminal


def print_scores(rows: Sequence[ScoreRow], summary: Mapping[str, Any], as_json: bool) -> None:
    """One table an arm, and the notes."""
    if as_json:
        _print_json({"rows": [asdict(row) for row in rows], **summary})
        return
    for arm in dict.fromkeys(row.arm for row in rows):
        table = _table(arm, "metric", "value", "95 % interval", "better", "prompts", "")
        for row in rows:
            if row.arm == arm:
                table.add_row(
                    row.metric,
                    shown(row.value, digits_of(row.metric)),
                    _interval(row),
                    row.better,
                    str(row.n),
                    _remark(row),
                )
        _print_table(table)
    _print_summary(summary)


def print_differences(differences: Sequence[ArmDifference], summary: Mapping[str, Any], as_json: bool) -> None:
    """One table a pair of arms, the sentences that may be quoted, and the notes."""
    if as_json:
        _print_json({"differences": [asdict(item) for item in differences], **summary})
        return
    for arm in dict.fromkeys(item.arm for item in differences):
        ours = [item for item in differences if item.arm == arm]
        title = f"{arm} minus {ours[0].reference}"
        table = _table(title, "metric", "difference", "95 % interval", "p", "p (Holm)", "d", "delta", "detectable", "")
        for item in ours:
            sizes = (item.cohens_d, item.cliffs_delta, item.minimum_detectable_effect)
            verdict = "distinguishable" if item.claim else ""
            cells = (shown(item.difference), _interval(item), _p(item.p), _p(item.p_holm), *map(shown, sizes), verdict)
            table.add_row(item.metric, *cells)
        _print_table(table)
    for item in differences:
        click.echo(item.sentence)
    _print_summary(summary)


def _remark(row: ScoreRow) -> str:
    bounds = "" if math.isnan(row.bound_low) else f"can lie between {row.bound_low:.3f} and {row.bound_high:.3f}"
    return "; ".join(part for part in (bounds, row.note) if part)


def _interval(row: ScoreRow | ArmDifference) -> str:
    if math.isnan(row.low):
        return ""
    low, high = (shown(end, digits_of(row.metric)) for end in (row.low, row.high))
    return low if low == high else f"{low} to {high}"


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else shown(value)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD)
    for name in columns:
        table.add_column(name)
    return table


def _print_summary(summary: Mapping[str, Any]) -> None:
    for note in summary["notes"]:
        click.echo(note)
    for arm, values in summary.get("executed", {}).items():
        click.echo(
            f"{arm}: {', '.join(f'{name} {shown(value)}' for name, value in values.items() if value is not None)}"
        )
    if "suite" in summary:
        click.echo(f"suite: {summary['suite']}; every verdict in {summary['verdicts']}")
    settings = {name: value for name, value in summary["settings"].items() if value is not None and name != "metrics"}
    click.echo("; ".join(f"{name} {value}" for name, value in settings.items()))
    if summary.get("folder"):
        click.echo(f"written to {summary['folder']}")
    if summary.get("run_id"):
        click.echo(f"MLflow run {summary['run_id']}")


def _print_table(table: Table) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=PLAIN_WIDTH)
    console.print(table, markup=False, highlight=False)


def _print_json(value: Any) -> None:
    click.echo(json.dumps(json_ready(value), indent=2, allow_nan=False))
