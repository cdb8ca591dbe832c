"""How values cross between processes of the sandbox: plain data in a closed set of tags, nothing that runs.

Neither pickle nor marshal: bytes of a hostile process are read here. (What the judge asks of that process goes by
marshal, since the process may trust the judge.) A value is exactly of a built-in kind, or of one of a few standard
containers, or it does not cross by content: the writer then hands out a handle, a number, if it has a place for such
values. Subclasses cross as what they extend. Depth, size and count are bounded on both sides.
Standard library only: the worker's process imports this.
"""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any

from polymlops.evaluation.sandbox_arrays import ARRAY_KINDS, array_parts, rebuilt_array
from polymlops.evaluation.sandbox_kinds import BASES, CROSSING_TYPES, MAPPINGS, NAMED_TYPES, SEQUENCES, as_base

MAX_DEPTH = 200
SIZE = struct.Struct("<I")
REAL = struct.Struct("<d")
PAIR = struct.Struct("<dd")


class WireError(ValueError):
    """Bytes that are no value, or a value that cannot be written: of a foreign kind, too deep or too large."""


Refer = Callable[[Any], int]
Resolve = Callable[[int, str], Any]


def encode(value: Any, limit: int, refer: Refer | None = None) -> bytes:
    """The bytes of a value.

    `refer` gives the handle of a value that is not plain; without it, such a value is an error.

    Raises: WireError as the class says, with the type that does not cross.
    """
    writer = _Writer(limit, refer)
    writer.write(value, 0)
    return b"".join(writer.parts)


def decode(data: bytes, resolve: Resolve | None = None) -> Any:
    """The value of all the bytes; `resolve` turns (handle, type name) into what stands for it.

    Raises: WireError where they are not exactly one value.
    """
    reader = _Reader(data, resolve)
    try:
        value = reader.read(0)
    except (struct.error, IndexError, UnicodeError, TypeError, OverflowError) as error:
        raise WireError(f"not a value: {error}") from error
    if reader.at != len(data):
        raise WireError(f"{len(data) - reader.at} bytes after the value")
    return value


class _Writer:
    __slots__ = ("_left", "_refer", "parts")

    def __init__(self, limit: int, refer: Refer | None) -> None:
        self.parts: list[bytes] = []
        self._left = limit
        self._refer = refer

    def write(self, value: Any, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise WireError(f"a value nested deeper than {MAX_DEPTH}")
        kind = type(value)
        if (plain := PLAIN.get(kind)) is not None:
            self._add(plain(value))
        elif (tag := SEQUENCES.get(kind)) is not None:
            self._add(tag + SIZE.pack(len(value)))
            for item in value:
                self.write(item, depth + 1)
        elif (tag := MAPPINGS.get(kind)) is not None:
            self._add(tag + SIZE.pack(len(value)))
            for key, item in dict.items(value):
                self.write(key, depth + 1)
                self.write(item, depth + 1)
        elif (tag := SIZED.get(kind)) is not None:
            self._sized(tag, value)
        else:
            self._other(kind, value, depth)

    def _add(self, part: bytes) -> None:
        self._left -= len(part)
        if self._left < 0:
            raise WireError("a value too large to hand over")
        self.parts.append(part)

    def _sized(self, tag: bytes, value: Any) -> None:
        if len(value) > self._left:  # before it is there twice
            raise WireError("a value too large to hand over")
        data = value.encode("utf-8", "surrogatepass") if tag == b"s" else bytes(value)
        self._add(tag + SIZE.pack(len(data)))
        self._add(data)

    def _ends(self, tag: bytes, value: Any, depth: int) -> None:
        self._add(tag)
        for end in (value.start, value.stop, value.step):
            self.write(end, depth + 1)

    def _other(self, kind: type, value: Any, depth: int) -> None:
        if kind is range or kind is slice:
            self._ends(b"r" if kind is range else b"/", value, depth)
        elif kind.__name__ in ARRAY_KINDS and (parts := array_parts(value)) is not None:
            self._add(b"n")
            self.write(parts, depth + 1)
        elif kind is type and value in CROSSING_TYPES:
            self._add(_tagged(b"k", value.__name__.encode()))
        elif bases := [base for base in BASES if base in kind.__mro__]:
            self.write(as_base(bases[0], value), depth + 1)
        elif self._refer is not None:
            self._add(b"h" + SIZE.pack(self._refer(value)))
            self._add(_tagged(b"s", kind.__name__.encode("utf-8", "replace")[:80]))
        else:
            raise WireError(f"a value of type {kind.__name__} does not cross")


class _Reader:
    __slots__ = ("_data", "_resolve", "at")

    def __init__(self, data: bytes, resolve: Resolve | None) -> None:
        self.at = 0
        self._data = data
        self._resolve = resolve

    def read(self, depth: int) -> Any:
        if depth > MAX_DEPTH + 1:
            raise WireError(f"nested deeper than {MAX_DEPTH}")
        tag = self._data[self.at]
        self.at += 1
        if tag in CONSTANTS:
            return CONSTANTS[tag]
        if (kind := CONTAINERS.get(tag)) is not None:
            return kind([self.read(depth + 1) for _ in range(self._size())])
        if (value_of := TEXTS.get(tag)) is not None:
            return value_of(self._take(self._size()))
        if (form := REALS.get(tag)) is not None:
            return form[0](*form[1].unpack(self._take(form[1].size)))
        return self._seldom(tag, depth)

    def _size(self) -> int:
        (size,) = SIZE.unpack_from(self._data, self.at)
        self.at += SIZE.size
        if size > len(self._data) - self.at:
            raise WireError("the bytes end inside a value")
        return int(size)

    def _take(self, size: int) -> bytes:
        data = self._data[self.at : self.at + size]
        if len(data) != size:
            raise WireError("the bytes end inside a value")
        self.at += size
        return data

    def _seldom(self, tag: int, depth: int) -> Any:
        if (kind := TABLES.get(tag)) is not None:
            return kind([(self.read(depth + 1), self.read(depth + 1)) for _ in range(self._size())])
        if tag == ord("n"):
            return rebuilt_array(self.read(depth + 1))
        if tag == ord("h"):
            return self._handle(depth)
        if tag not in b"r/":
            raise WireError(f"no such tag: {tag}")
        ends = [self.read(depth + 1) for _ in range(3)]
        try:
            return range(*ends) if tag == ord("r") else slice(*ends)
        except ValueError as error:
            raise WireError(f"not a range: {error}") from error

    def _handle(self, depth: int) -> Any:
        (number,) = SIZE.unpack(self._take(SIZE.size))
        name = self.read(depth + 1)
        if self._resolve is None or not isinstance(name, str):
            raise WireError("a handle where there may be none")
        return self._resolve(number, name)


def _tagged(tag: bytes, data: bytes) -> bytes:
    return tag + SIZE.pack(len(data)) + data


def _integer(data: bytes) -> int:
    try:
        return int(data, 16)
    except ValueError as error:
        raise WireError("not a number") from error


def _named_type(data: bytes) -> type:
    kind = NAMED_TYPES.get(data.decode("ascii"))
    if kind is None:
        raise WireError("a type that does not cross")
    return kind


def _string(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


# How values of each type are written, and what each tag is read as: the whole of what there is on the wire.
PLAIN: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: b"N",
    bool: lambda value: b"T" if value else b"F",
    int: lambda value: _tagged(b"i", b"%x" % value),
    float: lambda value: b"f" + REAL.pack(value),
    complex: lambda value: b"c" + PAIR.pack(value.real, value.imag),
    type(Ellipsis): lambda _: b".",
}
SIZED: dict[type, bytes] = {str: b"s", bytes: b"b", bytearray: b"a"}
CONSTANTS = {ord("N"): None, ord("T"): True, ord("F"): False, ord("."): Ellipsis}
CONTAINERS: dict[int, Callable[[list[Any]], Any]] = {ord(tag): kind for kind, tag in SEQUENCES.items()}
TEXTS: dict[int, Callable[[bytes], Any]] = {
    **{ord("i"): _integer, ord("s"): _string, ord("k"): _named_type},
    **{ord("b"): bytes, ord("a"): bytearray},
}
REALS: dict[int, tuple[Callable[..., Any], struct.Struct]] = {ord("f"): (float, REAL), ord("c"): (complex, PAIR)}
TABLES: dict[int, Callable[[list[tuple[Any, Any]]], Any]] = {
    ord("d"): dict,
    ord("C"): lambda pairs: Counter(dict(pairs)),
    ord("O"): OrderedDict,
    ord("D"): lambda pairs: defaultdict(None, pairs),
}
