"""Tables and JSON on stdout, where nothing else is written."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from polymlops.report.json_files import json_ready

PLAIN_WIDTH = 200  # columns where stdout is no terminal


def print_table(table: Table) -> None:
    """A table as wide as the terminal."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=PLAIN_WIDTH)
    console.print(table)


def print_json(value: Any) -> None:
    """A value as JSON; NaN is null."""
    click.echo(json.dumps(json_ready(value), indent=2))
