"""The kinds of values that cross between processes of the sandbox, and what a subclass of one crosses as.

Standard library only.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any

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


def as_base(base: type, value: Any) -> Any:
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
