"""Ratings by people, from a CSV, joined to the candidates that they rated."""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from polymlops.errors import InputError

KEYS = ("prompt_id", "sample_id")
SCOPE = ("arm", "seed")  # a file may hold the ratings of several sample sets
RATER = "rater"
HUMAN = "human_"


@dataclass(frozen=True, slots=True)
class _Row:
    place: str
    cells: Mapping[str, str]


def join_ratings(frame: pl.DataFrame, path: Path) -> pl.DataFrame:
    """One row a candidate of the frame: human_<name> for each rating of the file, null where nobody gave it.

    The CSV has prompt_id, sample_id and one column a rating (numbers; an empty cell is no rating). With a column
    `rater` a candidate may be rated by several people, whose mean counts; with `arm` and `seed` only the rows of the
    frame's own are taken.

    Raises: InputError with file, line, column and remedy: a column is missing, a cell is no number, a candidate is
        rated twice by one person, or is none of the frame's.
    """
    names, rows = _read(path)
    wanted = {(prompt_id, str(sample_id)) for prompt_id, sample_id in frame.select(KEYS).iter_rows()}
    arm, seed = frame.row(0, named=True)["arm"], str(frame.row(0, named=True)["seed"])
    given: defaultdict[tuple[str, str], list[Sequence[float | None]]] = defaultdict(list)
    seen: dict[tuple[str, ...], str] = {}
    for row in rows:
        if (row.cells.get("arm", arm), row.cells.get("seed", seed)) != (arm, seed):
            continue
        key = (row.cells["prompt_id"], row.cells["sample_id"])
        if key not in wanted:
            raise InputError(
                f"{row.place}: no sample {key[1]} of prompt {key[0]!r} in this sample set: correct the row"
            )
        _once(seen, (*key, row.cells.get(RATER, "")), row.place)
        given[key].append([_number(row, name) for name in names])
    return _columns(frame, names, given)


def _read(path: Path) -> tuple[list[str], Iterator[_Row]]:
    if not path.is_file():
        raise InputError(f"{path}: no such file: give a CSV with prompt_id, sample_id and ratings")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes().count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}: not UTF-8: save the file as UTF-8 text") from None
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", strict=True)
    header = list(reader.fieldnames or ())
    missing = [key for key in KEYS if key not in header]
    names = [name for name in header if name not in (*KEYS, *SCOPE, RATER)]
    if missing or not names or len(set(header)) != len(header) or "" in header:
        raise InputError(f"{path}:1: columns {', '.join(header)}: needs prompt_id, sample_id and a column a rating")
    return names, _rows(path, reader)


def _rows(path: Path, reader: csv.DictReader[str]) -> Iterator[_Row]:
    try:
        for cells in reader:
            place = f"{path}:{reader.line_num}"
            if "" in cells or None in cells.values():
                raise InputError(f"{place}: more or fewer cells than columns: correct the row")
            yield _Row(place, cells)
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: not CSV ({error}): correct the row") from None


def _number(row: _Row, name: str) -> float | None:
    cell = row.cells[name].strip()
    if not cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{row.place}: {name!r} is {cell!r}: write a number, or leave it empty")
    return value


def _once(seen: dict[tuple[str, ...], str], key: tuple[str, ...], place: str) -> None:
    if key in seen:
        who = f" by {key[2]!r}" if key[2] else ""
        raise InputError(
            f"{place}: sample {key[1]} of prompt {key[0]!r} is rated twice{who}, first at {seen[key]}: "
            "drop one, or tell people apart in a column 'rater'"
        )
    seen[key] = place


def _columns(
    frame: pl.DataFrame, names: Sequence[str], given: Mapping[tuple[str, str], list[Sequence[float | None]]]
) -> pl.DataFrame:
    rows = []
    for prompt_id, sample_id in frame.select(KEYS).iter_rows():
        ratings = given.get((prompt_id, str(sample_id)), [])
        rows.append([_mean([rating[i] for rating in ratings]) for i in range(len(names))])
    return pl.DataFrame(rows, {f"{HUMAN}{name}": pl.Float64 for name in names}, orient="row")


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
