"""The lines of `doctor`. Imports no tracker, which would take longer than the checks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import click

Level = Literal["ok", "warn", "fail"]
GIB = 2**30


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, and what to do where it is not enough."""

    name: str
    level: Level
    found: str
    remedy: str = ""


def gib(size: float) -> str:
    """Bytes for people."""
    return f"{size / GIB:.1f} GiB"


def print_checks(checks: Sequence[Check], as_json: bool) -> None:
    """One line a check, with a remedy where it is not ok."""
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks], indent=2))
        return
    for check in checks:
        remedy = f"  -> {check.remedy}" if check.remedy else ""
        click.echo(f"{check.level:<4}  {check.name}: {check.found}{remedy}")
