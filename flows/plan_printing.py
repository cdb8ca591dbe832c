"""A plan for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import click
from rich.table import Table

from flows.console import print_json, print_table
from polymlops.config.hashing import canonical
from polymlops.config.schema import ExperimentConfig
from polymlops.tracking.plans import PlannedStage, plan_total


def print_plan(config: ExperimentConfig, stages: Sequence[PlannedStage], spent: float, as_json: bool) -> None:
    """Stages, what is cached, expected time and cost of the rest, and what is left of a budget."""
    total, budget = plan_total(stages), config.execution.budget_dollars
    money = {"spent_dollars": spent, "budget_dollars": budget}
    if as_json:
        listed = [asdict(stage) for stage in stages]
        print_json({"stages": listed, "total": asdict(total) | money, "config": canonical(config)})
        return
    table = Table("stage", "", "seconds", "dollars", "measured with", title=config.name)
    for stage in stages:
        numbers = (_number(stage.seconds, 0), _number(stage.dollars, 4))
        table.add_row(stage.title, "cached" if stage.cached else "to run", *numbers, stage.basis or "")
    print_table(table)
    click.echo(total)
    if budget is not None:
        click.echo(f"budget: ${budget:g}, of which ${spent:.2f} is spent in this roadmap")


def _number(value: float | None, digits: int) -> str:
    return "unknown" if value is None else f"{value:.{digits}f}"
