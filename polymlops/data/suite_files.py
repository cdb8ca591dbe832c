"""Rows of a suite's file, JSON lines (gzipped or not) or one JSON array, each with the place where it stands."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polymlops.errors import InputError

GZIP_MAGIC = b"\x1f\x8b"
SHOWN = 40  # characters of a wrong value in a message


@dataclass(frozen=True, slots=True)
class SuiteRow:
    """One problem as it was written, and how a message calls its place."""

    place: str
    values: Mapping[str, Any]

    def text(self, key: str, needed: bool = True) -> str:
        """The string under a key; with `needed` it must hold more than blanks, without it may be absent or null.

        Raises: InputError that names the place, the key and the remedy.
        """
        value = self.values.get(key)
        if value is None and not needed:
            return ""
        if value is None:
            raise InputError(f"{self.place}: no {key!r}: every problem needs one")
        if not isinstance(value, str):
            raise InputError(f"{self.place}: {key!r} is {shown(value)}: write a string")
        if needed and not value.strip():
            raise InputError(f"{self.place}: {key!r} is empty: write its text")
        return encodable(value, f"{self.place}: {key!r}")

    def texts(self, key: str, needed: bool = True) -> tuple[str, ...]:
        """The list of strings under a key; errors as in `text`."""
        value = self.values.get(key)
        if value is None and not needed:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise InputError(f"{self.place}: {key!r} is {shown(value)}: write a list of strings")
        if needed and not value:
            raise InputError(f"{self.place}: {key!r} is empty: write at least one")
        return tuple(encodable(item, f"{self.place}: {key!r}") for item in value)

    def number(self, key: str) -> int:
        """The whole number under a key; errors as in `text`."""
        value = self.values.get(key)
        if value is None:
            raise InputError(f"{self.place}: no {key!r}: every problem needs one")
        if isinstance(value, bool) or not isinstance(value, int):
            raise InputError(f"{self.place}: {key!r} is {shown(value)}: write a whole number")
        return value


def shown(value: Any) -> str:
    """A wrong value, short enough for one line."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def encodable(text: str, label: str) -> str:
    """The text itself.

    Raises: InputError where it holds half a character, which no file and no pipe can take.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{label} has half a character (a lone surrogate) at {error.start}: replace it") from None
    return text


def read_suite_rows(path: Path) -> list[SuiteRow]:
    """Read every row of a suite's file.

    Raises: InputError with file, line and remedy where the file is missing, empty, not UTF-8 or not JSON.
    """
    text = _text(path)
    if not text.strip():
        raise InputError(f"{path}: empty: write one problem a line")
    rows = list(_array_rows(path, text) if text.lstrip().startswith("[") else _line_rows(path, text))
    if not rows:
        raise InputError(f"{path}: no problem in it: write at least one")
    return rows


def _text(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"{path}: no such file: give the suite's JSON lines")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if data.startswith(GZIP_MAGIC):
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise InputError(f"{path}: the gzip stream is damaged ({error}): copy or download it again") from None
    try:
        return data.decode("utf-8-sig")  # some editors begin a file with a mark
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        raise InputError(f"{path}:{line}: not UTF-8 (byte 0x{byte:02x}): save the file as UTF-8 text") from None


def _line_rows(path: Path, text: str) -> Iterator[SuiteRow]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield _row(f"{path}:{number}", _json(line, f"{path}:{number}", "write one object a line"))


def _array_rows(path: Path, text: str) -> Iterator[SuiteRow]:
    for number, values in enumerate(_json(text, str(path), "write an array of objects"), start=1):
        yield _row(f"{path}: item {number}", values)


def _json(text: str, place: str, remedy: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = f"{place}:{error.lineno}" if "\n" in text else place
        raise InputError(f"{where}: not JSON ({error.msg} at column {error.colno}): {remedy}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: not JSON ({error}): {remedy}") from None


def _row(place: str, values: Any) -> SuiteRow:
    if not isinstance(values, dict):
        raise InputError(f"{place}: a JSON {type(values).__name__}: write one object a problem")
    return SuiteRow(place, values)
