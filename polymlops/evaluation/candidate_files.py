"""Files of candidates as streams of numbered rows: JSON lines, plain or gzipped, and parquet; a chunk at a time."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import polars as pl

from polymlops.errors import InputError
from polymlops.evaluation.candidate_rows import arm_fault, is_used

CHUNK = 8192  # rows held as Python objects
PARQUET, GZIP = ".parquet", ".gz"


@dataclass(frozen=True, slots=True)
class NumberedRow:
    """A row by its number from 1: a line of a text file, a row of a parquet file; or why it could not be read."""

    number: int
    values: Mapping[str, Any] | None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class RowStream:
    """Rows as they are read. `position` of `total`, in `unit`, is how far that is; `columns` are known for parquet."""

    rows: Iterator[NumberedRow]
    columns: tuple[str, ...] | None
    total: int
    unit: str
    position: Callable[[], int] | None


def place(path: Path | str, number: int) -> str:
    """How a message calls a row."""
    return f"{path}: row {number}" if Path(path).suffix == PARQUET else f"{path}:{number}"


def arm_of(path: Path) -> str:
    """The arm of candidates that name none: the file's name without its endings.

    Raises: InputError where that cannot name an arm.
    """
    name = path.name.removesuffix(GZIP)
    arm = name.removesuffix(Path(name).suffix) or name
    if fault := arm_fault(arm):
        raise InputError(f"{path.name!r} names its candidates' arm: {fault}, or give the rows an arm")
    return arm


@contextmanager
def open_rows(path: Path) -> Iterator[RowStream]:
    """Open a file by its ending: `.parquet`, `.gz` for gzipped JSON lines, anything else for JSON lines.

    Raises: InputError where it cannot be opened.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.is_dir():
        raise InputError(f"{path}: a folder; give the file in it")
    if path.suffix == PARQUET:
        yield _parquet(path)
        return
    try:
        handle = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    with handle:
        lines: IO[bytes] = handle
        if path.suffix == GZIP:
            lines = gzip.GzipFile(fileobj=handle)  # type: ignore[assignment]  # it is a binary file like any other
        yield RowStream(_json_rows(lines), None, path.stat().st_size, "B", handle.tell)


def _json_rows(lines: IO[bytes]) -> Iterator[NumberedRow]:
    number = 0
    try:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _json_row(number, line)
    except EOFError:
        yield NumberedRow(number + 1, None, "the gzip stream ends early: copy or download the file again")
    except (gzip.BadGzipFile, zlib.error) as error:
        yield NumberedRow(number + 1, None, f"not gzip ({error}): copy the file again, or drop the ending .gz")
    except OSError as error:
        yield NumberedRow(number + 1, None, f"cannot be read ({error.strerror})")


def _json_row(number: int, line: bytes) -> NumberedRow:
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8")  # some editors begin a file with a mark
        values = json.loads(text)
    except UnicodeDecodeError as error:
        byte = line[error.start]
        return NumberedRow(number, None, f"not UTF-8 at byte {error.start} (0x{byte:02x}): save the file as UTF-8")
    except (ValueError, RecursionError) as error:
        return NumberedRow(number, None, f"not JSON ({error}): write one object a line")
    if not isinstance(values, dict):
        return NumberedRow(number, None, f"a JSON {type(values).__name__}: write one object a line")
    return NumberedRow(number, values)


def _parquet(path: Path) -> RowStream:
    try:
        frame = pl.scan_parquet(path, glob=False)
        columns = tuple(frame.collect_schema().names())
        total = int(frame.select(pl.len()).collect().item())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"{path}: not a parquet file that can be read ({_first_line(error)})") from None
    rows = _parquet_rows(frame.select([name for name in columns if is_used(name)]))
    return RowStream(rows, columns, total, "row", None)


def _parquet_rows(frame: pl.LazyFrame) -> Iterator[NumberedRow]:
    number = 0
    try:
        for batch in frame.collect_batches(chunk_size=CHUNK, maintain_order=True):
            for values in batch.iter_rows(named=True):
                number += 1
                yield NumberedRow(number, values)
    except pl.exceptions.PolarsError as error:
        yield NumberedRow(number + 1, None, f"cannot be decoded ({_first_line(error)}): write the file again")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
