"""The rows of one file, in order: an object each, or the fault for which there is none."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from polymlops.data.ingest_lines import LARGEST_ROW, Line, decode, open_lines
from polymlops.errors import InputError

DELIMITERS = ",;\t|"
PARQUET_ROWS = 2048  # read together
HUGE = "huge_row"


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row of a file: its place (line or row, from 1), and either its cells by column or its fault."""

    place: int
    cells: Mapping[str, Any] | None
    fault: str = ""
    beginning: str = ""


def read_rows(path: Path) -> Iterator[RawRow]:
    """Rows of a file by the ending of its name.

    A bad row never raises: it is a fault: broken_json, not_an_object, broken_csv, ragged or huge_row (above 128 KiB).

    Raises: InputError where the file as a whole cannot be read.
    """
    yield from READERS[format_of(path)](path)


def format_of(path: Path) -> str:
    """The ending that says how a file is read, "" for one that is none of ours."""
    name = path.name.lower().removesuffix(".gz")
    return next((ending for ending in READERS if name.endswith(ending)), "")


def _json_rows(path: Path) -> Iterator[RawRow]:
    for line in open_lines(path):
        if line.huge:
            yield RawRow(line.number, None, HUGE, line.beginning)
        elif line.data.strip():
            if line.number == 1 and line.data.lstrip().startswith(b"["):
                raise InputError(f"{path}: a JSON array: write one object a line (jq -c '.[]' FILE)")
            yield _json_row(line)


def _json_row(line: Line) -> RawRow:
    try:
        value = orjson.loads(line.data)
    except orjson.JSONDecodeError:  # stricter than most exports: NaN, lone surrogates and other encodings go on here
        try:
            value = json.loads(decode(line.data))
        except (ValueError, RecursionError):
            return RawRow(line.number, None, "broken_json", line.beginning)
    if not isinstance(value, dict):
        return RawRow(line.number, None, "not_an_object", line.beginning)
    return RawRow(line.number, value)


class _CsvLines:
    """The lines of a file as the csv module takes them. It ends a record that is too long, and skips what is left."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self.lines = lines
        self.first = 0  # line on which the record begins
        self.beginning = ""
        self.size = self.quotes = 0

    def __iter__(self) -> _CsvLines:
        return self

    def __next__(self) -> str:
        line = next(self.lines)
        if not self.size:
            self.first, self.beginning = line.number, line.beginning
        self.size += len(line.data) + 1
        self.quotes += line.quotes
        if line.huge or self.size > LARGEST_ROW:
            while self.quotes % 2 and (rest := next(self.lines, None)):
                self.quotes += rest.quotes
            raise csv.Error(HUGE)
        return decode(line.data) + "\n"

    def start(self) -> None:
        """The next line begins a record."""
        self.size = self.quotes = 0


def _csv_rows(path: Path) -> Iterator[RawRow]:
    lines = open_lines(path)
    first = next((line for line in lines if line.data.strip()), None)
    if first is None:
        return
    if first.huge:
        raise InputError(f"{path}: its first line is longer than {LARGEST_ROW} bytes: it should name the columns")
    header_text = decode(first.data)
    delimiter = max(DELIMITERS, key=header_text.count)
    header = _header(path, header_text, delimiter)
    source = _CsvLines(lines)
    reader = csv.reader(source, delimiter=delimiter)
    while True:
        source.start()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:  # its other complaint is of a carriage return inside a line
            fault = HUGE if str(error) == HUGE else "broken_csv"
            yield RawRow(source.first, None, fault, source.beginning)
            continue
        if len(cells) == len(header):
            yield RawRow(source.first, {name: cell or None for name, cell in zip(header, cells, strict=True)})
        elif cells:
            yield RawRow(source.first, None, "ragged", source.beginning)


def _header(path: Path, text: str, delimiter: str) -> list[str]:
    try:
        names = [name.strip() for name in next(csv.reader([text], delimiter=delimiter))]
    except csv.Error as error:
        raise InputError(f"{path}: its first line, {text[:120]!r}, should name the columns: {error}") from error
    if len(set(names)) < len(names):
        raise InputError(f"{path}: two columns have one name in its first line, {text[:120]!r}: rename one")
    return names


def _parquet_rows(path: Path) -> Iterator[RawRow]:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    place = 0
    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches(PARQUET_ROWS, use_threads=False):
                for cells in batch.to_pylist():
                    place += 1
                    yield RawRow(place, cells)
    except (pa.ArrowException, OSError, ValueError) as error:
        message = str(error).splitlines()[0]
        raise InputError(f"{path}: no Parquet after row {place} ({message[:120]}): make the file again") from error


READERS: Mapping[str, Callable[[Path], Iterator[RawRow]]] = {
    ".jsonl": _json_rows,
    ".ndjson": _json_rows,
    ".json": _json_rows,
    ".csv": _csv_rows,
    ".tsv": _csv_rows,
    ".parquet": _parquet_rows,
}
