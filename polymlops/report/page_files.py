"""From files of a report's folder to parts of a page: pictures, tables and records, or the reason why not."""

from __future__ import annotations

import base64
import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polymlops.errors import ArtifactError
from polymlops.report.page_records import Cell, Picture, Section, Table

PNG = b"\x89PNG\r\n\x1a\n"
COUNTED = "collapse_point"  # a whole number, whose note has the interval, which may end beyond n
WIDTH = slice(16, 20)  # bytes of a PNG's first chunk
BROAD = 1500  # pixels: figures as wide as a page, not as a column
LONGEST = 200  # rows of a table on the page; the rest stays in its file


@dataclass(frozen=True, slots=True)
class Source:
    """A folder of a stage's files, and the run that made them."""

    folder: Path
    run_id: str


def read_json(source: Source, name: str) -> Any:
    """Content of a JSON file; none where the folder lacks it.

    Raises:
        ArtifactError: it is no JSON.
    """
    path = source.folder / name
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise ArtifactError(f"{name} of run {source.run_id} cannot be read: {error}") from error


def picture(source: Source, name: str, title: str) -> Picture | None:
    """A PNG file as a data URI; none where the folder lacks it.

    Raises:
        ArtifactError: it is no PNG.
    """
    path = source.folder / name
    if not path.is_file():
        return None
    data = path.read_bytes()
    if not data.startswith(PNG):
        raise ArtifactError(f"{name} of run {source.run_id} is no PNG image: make it again")
    uri = "data:image/png;base64," + base64.b64encode(data).decode("ascii")
    return Picture(title, uri, source.run_id, broad=int.from_bytes(data[WIDTH], "big") >= BROAD)


def pictures(source: Source, titles: Mapping[str, str]) -> Section:
    """The named pictures; what is not in the folder is named among the missing."""
    found = {name: picture(source, name, title) for name, title in titles.items()}
    missing = tuple(f"{titles[name]}: {name} was not written" for name, item in found.items() if item is None)
    return Section(pictures=tuple(item for item in found.values() if item is not None), missing=missing)


def whole_folder(source: Source, what: str) -> Section:
    """Every picture and table (CSV) of a folder, by their names."""
    images = [picture(source, path.name, spoken(path.stem)) for path in sorted(source.folder.glob("*.png"))]
    tables = [csv_table(path, source.run_id) for path in sorted(source.folder.glob("*.csv"))]
    missing = () if images or tables else (f"{what}: run {source.run_id} left neither figures nor tables",)
    return Section(tables=tuple(tables), pictures=tuple(item for item in images if item), missing=missing)


def merged(sections: Iterable[Section]) -> Section:
    """One section with all parts, in order."""
    parts = list(sections)
    return Section(
        tuple(item for part in parts for item in part.sentences),
        tuple(item for part in parts for item in part.tables),
        tuple(item for part in parts for item in part.pictures),
        tuple(item for part in parts for item in part.missing),
    )


def number(value: Any, row: Mapping[str, Any], run_id: str) -> Cell:
    """A value with its interval, and what it can reach where that is stated; a dash with the reason where undefined."""
    if _undefined(value):
        return Cell("–", run_id, str(row.get("note") or "undefined"))
    if row.get("metric") == COUNTED:
        return Cell(f"{value:.0f}", run_id, str(row.get("note") or ""))
    ends = (row.get("low"), row.get("high"))
    interval = "" if any(_undefined(end) for end in ends) else f"{shown(ends[0])} to {shown(ends[1])}"
    bounds = (row.get("bound_low"), row.get("bound_high"))
    reach = "" if any(_undefined(end) for end in bounds) else f"can reach {shown(bounds[0])} to {shown(bounds[1])}"
    return Cell(shown(value), run_id, "; ".join(part for part in (interval, reach) if part))


def shown(value: Any) -> str:
    """A number in three significant decimals, whole numbers as such; other things as text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    if isinstance(value, int) or (value.is_integer() and abs(value) >= 2):
        return f"{value:.0f}"
    return f"{value:.3f}" if abs(value) >= 1e-3 or value == 0 else f"{value:.1e}"


def spoken(name: str) -> str:
    """A name of a file or metric with spaces: usq_reward_at_10 is "usq reward @10"."""
    return name.replace("_at_", " @").replace("_", " ")


def csv_table(path: Path, run_id: str, *, folded: bool = False) -> Table:
    """A CSV file as a table, its first rows."""
    with path.open(encoding="utf-8", newline="") as file:
        head, *rows = list(csv.reader(file)) or [[]]
    cells = [tuple(_csv_cell(text, run_id) for text in row) for row in rows[:LONGEST]]
    left = f", the first {LONGEST} of {len(rows)} rows" if len(rows) > LONGEST else ""
    return Table(spoken(path.stem) + left, tuple(spoken(name) for name in head), tuple(cells), run_id, folded)


def _csv_cell(text: str, run_id: str) -> Cell:
    try:
        value = float(text)
    except ValueError:
        return Cell(text)
    return Cell("–" if math.isnan(value) else text if text.isdigit() else shown(value), run_id)


def _undefined(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def grid(
    title: str, rows: Sequence[Mapping[str, Any]], metrics: Sequence[str], run_id: str, *, folded: bool = False
) -> Table:
    """An arm a row and a metric a column, from rows of arm, metric, value, low, high."""
    found = {(row["arm"], row["metric"]): row for row in rows}
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    kept = [metric for metric in metrics if any((arm, metric) in found for arm in arms)]
    body = [(Cell(arm), *(_of(found.get((arm, metric)), run_id) for metric in kept)) for arm in arms]
    return Table(title, ("arm", *(spoken(metric) for metric in kept)), tuple(body), run_id, folded)


def _of(row: Mapping[str, Any] | None, run_id: str) -> Cell:
    return Cell("–", "", "not measured") if row is None else number(row["value"], row, run_id)
