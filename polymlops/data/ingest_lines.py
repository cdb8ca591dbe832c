"""Files as lines of text, one at a time: any encoding that people's exports mix, and no line held that is too long."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from polymlops.errors import InputError

LARGEST_ROW = 2**17  # bytes; the csv module's own limit of a cell
BOM = b"\xef\xbb\xbf"
WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff")
SHOWN = 60


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its end; `huge` where it was longer than LARGEST_ROW: `data` is its beginning then.

    `quotes` counts the quotation marks of the whole line.
    """

    number: int
    data: bytes
    huge: bool = False
    quotes: int = 0

    @property
    def beginning(self) -> str:
        """What a message shows of it."""
        return decode(self.data[:SHOWN])


def decode(data: bytes) -> str:
    """Text of bytes in UTF-8, else in Windows-1252, whose five gaps are read as Latin-1."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def open_lines(path: Path) -> Iterator[Line]:
    """Lines of a file, plain or .gz, in order, numbered from 1; a byte-order mark is no part of the first.

    Raises: InputError where the file cannot be read, is damaged, or is in UTF-16.
    """
    number = 0
    try:
        with _open(path) as stream:
            for line in _lines(stream, path):
                number = line.number
                yield line
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: cannot be read after line {number} ({reason}): make the file again") from error


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]  # a BufferedIOBase is one


def _lines(stream: IO[bytes], path: Path) -> Iterator[Line]:
    number = 0
    while data := stream.readline(LARGEST_ROW + 2):
        number += 1
        if number == 1:
            if data.startswith(WIDE_BOMS):
                raise InputError(f"{path}: this is UTF-16: save it as UTF-8 (iconv -f utf-16 -t utf-8)")
            data = data.removeprefix(BOM)
        quotes = data.count(b'"')
        if data.endswith(b"\n") or len(data) <= LARGEST_ROW:
            yield Line(number, data.rstrip(b"\r\n"), quotes=quotes)
        else:
            yield Line(number, data[:SHOWN], huge=True, quotes=quotes + _skip(stream))


def _skip(stream: IO[bytes]) -> int:
    """Read to the end of the line without keeping it; returns its quotation marks."""
    quotes = 0
    while data := stream.readline(LARGEST_ROW):
        quotes += data.count(b'"')
        if data.endswith(b"\n"):
            break
    return quotes
