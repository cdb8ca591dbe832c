"""What the packaged profiles change, as tables of docs/configuration.md."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

import yaml

from polymlops.config.profiles import PACKAGE, profile_names
from polymlops.config.schema import ExperimentConfig


def profile_lines() -> list[str]:
    """One table of what each profile is for, and one of every key that any of them sets."""
    texts = {name: resources.files(PACKAGE).joinpath(f"{name}.yaml").read_text("utf-8") for name in profile_names()}
    values = {name: dict(_leaves(yaml.safe_load(text))) for name, text in texts.items()}
    defaults = dict(_leaves(ExperimentConfig().model_dump(mode="json", by_alias=True)))
    keys = sorted({key for found in values.values() for key in found} - {"name"})
    return [
        *("## Profiles", "", "| profile | what it is |", "|---|---|"),
        *(f"| `{name}` | {_first_line(text)} |" for name, text in texts.items()),
        "",
        "What each sets; an empty cell is the default.",
        "",
        f"| key | default | {' | '.join(f'`{name}`' for name in texts)} |",
        f"|---|---|{'---|' * len(texts)}",
        *(f"| `{key}` | {' | '.join(_cell(row, key) for row in (defaults, *values.values()))} |" for key in keys),
    ]


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of all that is no section."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _first_line(text: str) -> str:
    return text.partition("\n")[0].removeprefix("# ").replace("|", r"\|")


def _cell(row: Mapping[str, Any], key: str) -> str:
    if key not in row:
        return ""
    value = row[key]
    text = value if isinstance(value, str) and value.strip() else json.dumps(value)
    return f"`{text}`".replace("|", r"\|")
