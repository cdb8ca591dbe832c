"""What `ingest` and `reward` take. Imports click only, as flows.cli does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

F = Callable[..., Any]

OPTIONS = (
    click.argument("file", metavar="FILE|FOLDER"),
    click.option(
        "--map", "mapping", multiple=True, metavar="OURS=COLUMN", help="Which column is ours, e.g. --map likes=score."
    ),
    click.option("--profile", default="yours", show_default=True, metavar="PROFILE|FILE", help="Settings of the rest."),
    click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one config value."),
    click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
)


def own_data_options(command: F) -> F:
    """The file, its columns, and the settings."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command
