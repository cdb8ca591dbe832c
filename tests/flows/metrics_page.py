"""docs/metrics.md as patterns of names, each with its direction and the function that computes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
HEADER = ["name", "formula", "range", "better", "caveat", "source", "function"]
OPEN = {
    "ARM": "[a-z0-9_]+?",
    "SUITE": "[a-z0-9_]+",
    "SEED": r"\d+",
    "LAYER": r"(?:\d+|all|other)",
    "REASON": "[a-z_]+",
    "WORD": "[A-Za-z0-9_]+",
    "K": r"\d+",
    "M": r"\d+",
}
ENDS = "(?:_low|_high|_undefined)?"


@dataclass(frozen=True)
class Row:
    """One row of a table: names with placeholders, a direction for each, and the function."""

    section: str
    names: tuple[str, ...]
    better: tuple[str, ...]
    function: str


def cells(line: str) -> list[str]:
    """The cells of a line of a Markdown table."""
    return [cell.strip() for cell in line.strip().strip("|").split(" | ")]


def ticked(cell: str) -> tuple[str, ...]:
    """What stands between backticks."""
    return tuple(re.findall("`([^`]+)`", cell))


def read_rows(text: str) -> list[Row]:
    """Every row of every table of metrics."""
    rows, section, inside = [], "", False
    for line in text.splitlines():
        if line.startswith("#"):
            section = line.lstrip("# ")
        if not line.startswith("|"):
            inside = False
        elif cells(line) == HEADER:
            inside = True
        elif inside and not line.startswith("|---"):
            found = dict(zip(HEADER, cells(line), strict=True))
            names = ticked(found["name"])
            marks = re.split("[,;] *", found["better"])
            better = tuple(marks) if len(marks) == len(names) else (marks[0],) * len(names)
            rows.append(Row(section, names, better, ticked(found["function"])[0]))
    return rows


def placeholders(text: str) -> dict[str, str]:
    """What each placeholder may stand for, as a regular expression."""
    closed = {}
    for line in text.splitlines():
        row = cells(line)
        if line.startswith("| `") and len(row) == 2 and row[0] in ("`DOMAIN`", "`SELECTOR`"):
            closed[row[0].strip("`")] = "|".join(ticked(row[1]))
    closed["DOMAIN"] = closed["DOMAIN"].replace("SUITE", OPEN["SUITE"])
    return {name: f"(?:{choice})" for name, choice in closed.items()} | OPEN


def as_pattern(name: str, stands_for: dict[str, str]) -> str:
    """A name with placeholders as a regular expression."""
    names = "|".join(sorted(stands_for, key=len, reverse=True))
    return "".join(stands_for.get(part, re.escape(part)) for part in re.split(f"({names})", name))


class MetricsPage:
    """The page, asked by name."""

    def __init__(self, text: str) -> None:
        self.rows = read_rows(text)
        self.stands_for = placeholders(text)
        arm = self.stands_for["ARM"]
        place = f"(?:{self.stands_for['DOMAIN']}/(?:{arm}(?:_minus_{arm})?/)?)?"
        self.patterns = {
            name: re.compile(place + as_pattern(name, self.stands_for) + ENDS)
            for row in self.rows
            for name in row.names
        }

    def documents(self, name: str) -> list[str]:
        """The documented names that a logged one is an instance of."""
        return [known for known, pattern in self.patterns.items() if pattern.fullmatch(name)]
