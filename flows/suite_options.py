"""What `score --suite` and `evaluate` take about programming problems. Imports click only, as flows.cli does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

F = Callable[..., Any]
SUITES = ("humaneval", "mbpp", "mbpp_sanitized", "world", "file")

SUITE = (
    click.option(
        "--suite-file", metavar="PATH", help="Read the suite from this file; of any other suite in HumanEval's schema."
    ),
    click.option("--check-suite", is_flag=True, help="First run every problem's own solution; refuse where one fails."),
    click.option("--require-isolation", is_flag=True, help="Refuse where the sandbox lacks a layer of isolation."),
    click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 256), help="Programs at once."),
)


def suite_option(text: str) -> F:
    """`--suite`, for what it means to the command."""
    return click.option("--suite", type=click.Choice(SUITES), help=text)
