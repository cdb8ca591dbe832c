"""How values cross between processes of the sandbox: plain data in a closed set of tags, nothing that runs.

Neither pickle nor marshal: bytes of a hostile process are read here. A value is exactly of a built-in kind, or of one
of a few standard containers, or it does not cross by content: the writer then hands out a handle, a number, if it has
a place for such values. Subclasses cross as what they extend. Depth, size and count are bounded on both sides.
Standard library only: the worker's process imports this.
"""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any

from polymlops.evaluation.sandbox_arrays import ARRAY_KINDS, array_parts, rebuilt_array

MAX_DEPTH = 200
SIZE = struct.Struct("<I")
REAL = struct.Struct("<d")
PAIR = struct.Struct("<dd")
PLAIN_TYPES = (bool, int, float, complex, str, bytes, bytearray, range, slice, type(None), type(Ellipsis))
SEQUENCES: dict[type, bytes] = {list: b"l", tuple: b"t", set: b"S", frozenset: b"Z", deque: b"q"}
MAPPINGS: dict[type, bytes] = {dict: b"d", Counter: b"C", OrderedDict: b"O", defaultdict: b"D"}
# Of a subclass, the first that fits; containers with behaviour of their own come before what they extend.
BASES: tuple[type, ...] = (
    Counter,
    OrderedDict,
    defaultdict,
    dict,
    *SEQUENCES,
    int,
    float,
    complex,
    str,
    bytes,
    bytearray,
)
CROSSING_TYPES: tuple[type, ...] = (bool, int, float, complex, str, bytes, *SEQUENCES, dict, type(None), object, type)
NAMED_TYPES = {kind.__name__: kind for kind in CROSSING_TYPES}


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
    def __init__(self, limit: int, refer: Refer | None) -> None:
        self.parts: list[bytes] = []
        self._left = limit
        self._refer = refer

    def write(self, value: Any, depth: int) -> None:
        kind = type(value)
        if depth > MAX_DEPTH:
            raise WireError(f"a value nested deeper than {MAX_DEPTH}")
        if kind in SEQUENCES:
            self._tagged(SEQUENCES[kind], len(value))
            self._items(value, depth)
        elif kind in MAPPINGS:
            self._tagged(MAPPINGS[kind], len(value))
            self._items((part for item in dict.items(value) for part in item), depth)
        elif kind in PLAIN_TYPES:
            self._plain(kind, value, depth)
        else:
            self._other(kind, value, depth)

    def _items(self, values: Iterable[Any], depth: int) -> None:
        for value in values:
            self.write(value, depth + 1)

    def _add(self, *parts: bytes) -> None:
        self._left -= sum(map(len, parts))
        if self._left < 0:
            raise WireError("a value too large to hand over")
        self.parts.extend(parts)

    def _tagged(self, tag: bytes, size: int) -> None:
        self._add(tag, SIZE.pack(size))

    def _bytes(self, tag: bytes, data: bytes) -> None:
        self._tagged(tag, len(data))
        self._add(data)

    def _plain(self, kind: type, value: Any, depth: int) -> None:
        if kind is bool:
            self._add(b"T" if value else b"F")
        elif value is None:
            self._add(b"N")
        elif kind is int:
            self._bytes(b"i", b"%x" % value)
        elif kind is str:
            self._bytes(b"s", value.encode("utf-8", "surrogatepass"))
        elif kind is float:
            self._add(b"f", REAL.pack(value))
        elif kind is complex:
            self._add(b"c", PAIR.pack(value.real, value.imag))
        elif kind is bytes or kind is bytearray:
            self._bytes(b"b" if kind is bytes else b"a", bytes(value))
        elif value is Ellipsis:
            self._add(b".")
        else:
            self._add(b"r" if kind is range else b"/")
            self._items((value.start, value.stop, value.step), depth)

    def _other(self, kind: type, value: Any, depth: int) -> None:
        if kind.__name__ in ARRAY_KINDS and (parts := array_parts(value)) is not None:
            self._add(b"n")
            self.write(parts, depth + 1)
        elif kind is type and value in CROSSING_TYPES:
            self._bytes(b"k", value.__name__.encode())
        elif bases := [base for base in BASES if base in kind.__mro__]:
            self.write(_as_base(bases[0], value), depth + 1)
        elif self._refer is not None:
            self._tagged(b"h", self._refer(value))
            self._bytes(b"s", kind.__name__.encode("utf-8", "replace")[:80])
        else:
            raise WireError(f"a value of type {kind.__name__} does not cross")


def _as_base(base: type, value: Any) -> Any:
    """The content that a subclass inherits, past whatever it overrides."""
    if base in MAPPINGS:
        return base(None, dict(dict.items(value))) if base is defaultdict else base(dict(dict.items(value)))
    if base in SEQUENCES:
        return base(list(base.__iter__(value)))  # type: ignore[attr-defined] # every sequence of the table has it
    if base is complex:
        return complex(complex.__pos__(value))
    plain: dict[type, Callable[[Any], Any]] = {
        int: int.__int__,
        float: float.__float__,
        str: str.__str__,
        bytes: lambda data: bytes(memoryview(data)),
        bytearray: lambda data: bytearray(memoryview(data)),
    }
    return plain[base](value)


class _Reader:
    def __init__(self, data: bytes, resolve: Resolve | None) -> None:
        self.at = 0
        self._data = data
        self._resolve = resolve

    def read(self, depth: int) -> Any:
        if depth > MAX_DEPTH + 1:
            raise WireError(f"nested deeper than {MAX_DEPTH}")
        tag = self._data[self.at : self.at + 1]
        self.at += 1
        if tag in b"NTF." and tag:
            return {b"N": None, b"T": True, b"F": False, b".": Ellipsis}[tag]
        if tag in b"fc" and tag:
            return self._real(REAL)[0] if tag == b"f" else complex(*self._real(PAIR))
        if tag in b"r/n" and tag:
            return self._compound(tag, depth)
        size = self._size()
        if tag in b"isbak" and tag:
            return self._text(tag, self._take(size))
        if tag == b"h":
            return self._handle(size, depth)
        return self._container(tag, size, depth)

    def _real(self, form: struct.Struct) -> tuple[float, ...]:
        return form.unpack(self._take(form.size))

    def _size(self) -> int:
        return int(SIZE.unpack(self._take(4))[0])

    def _take(self, size: int) -> bytes:
        data = self._data[self.at : self.at + size]
        if len(data) != size:
            raise WireError("the bytes end inside a value")
        self.at += size
        return data

    def _text(self, tag: bytes, data: bytes) -> Any:
        if tag == b"i":
            try:
                return int(data, 16)
            except ValueError as error:
                raise WireError("not a number") from error
        if tag == b"k":
            kind = NAMED_TYPES.get(data.decode("ascii"))
            if kind is None:
                raise WireError("a type that does not cross")
            return kind
        if tag == b"s":
            return data.decode("utf-8", "surrogatepass")
        return data if tag == b"b" else bytearray(data)

    def _compound(self, tag: bytes, depth: int) -> Any:
        if tag == b"n":
            return rebuilt_array(self.read(depth + 1))
        ends = [self.read(depth + 1) for _ in range(3)]
        try:
            return range(*ends) if tag == b"r" else slice(*ends)
        except ValueError as error:
            raise WireError(f"not a range: {error}") from error

    def _handle(self, number: int, depth: int) -> Any:
        name = self.read(depth + 1)
        if self._resolve is None or not isinstance(name, str):
            raise WireError("a handle where there may be none")
        return self._resolve(number, name)

    def _container(self, tag: bytes, size: int, depth: int) -> Any:
        if size > len(self._data) - self.at:
            raise WireError("more items than bytes")
        for kind, known in SEQUENCES.items():
            if tag == known:
                return kind([self.read(depth + 1) for _ in range(size)])
        for kind, known in MAPPINGS.items():
            if tag == known:
                pairs = [(self.read(depth + 1), self.read(depth + 1)) for _ in range(size)]
                return defaultdict(None, pairs) if kind is defaultdict else kind(dict(pairs))
        raise WireError(f"no such tag: {tag!r}")
