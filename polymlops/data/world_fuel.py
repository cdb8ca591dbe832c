"""What a permitted tiny program of the embedded world runs on: guarded operators, methods and builtins, and fuel."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

MAX_STEPS = 2_000  # loop passes and lambda calls over all tests of a problem
MAX_SIZE = 500  # items of a list or range, characters of a text
MAX_NUMBER = 10**9

METHODS = frozenset(
    ("append", "count", "endswith", "index", "insert", "join", "lower", "pop", "reverse", "sort", "startswith", "upper")
)
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mult": operator.mul,
    "FloorDiv": operator.floordiv,
    "Mod": operator.mod,
}


class RefusedError(ValueError):
    """A program uses something outside the world's grammar, or more than it may."""


class Fuel:
    """A budget of steps for one program; `names` is everything that it can reach."""

    def __init__(self) -> None:
        self._left = MAX_STEPS

    def names(self) -> dict[str, Any]:
        """The program's globals: permitted builtins, and the guards under names that no program may use."""
        guards = {"__operate": operate, "__method": call_method, "__flat": flat}
        return {**BUILTINS, **guards, "__step": self.step, "__steps": self.steps, "__builtins__": {}}

    def step(self, value: T) -> T:
        """Pass a value on for one step of fuel."""
        self._left -= 1
        if self._left < 0:
            raise RefusedError(f"more than {MAX_STEPS} steps")
        return value

    def steps(self, values: Iterable[T]) -> Iterator[T]:
        """Iterate over values, one step of fuel each."""
        return (self.step(value) for value in values)


def operate(name: str, left: Any, right: Any) -> Any:
    """Apply a binary operator whose result stays small."""
    if isinstance(left, (str, list, tuple)) or isinstance(right, (str, list, tuple)):
        if name == "Mult":
            sequence, times = (right, left) if isinstance(left, int) else (left, right)
            if isinstance(times, int) and len(sequence) * times > MAX_SIZE:
                raise RefusedError(f"a repetition longer than {MAX_SIZE}")
        elif name != "Add":
            raise TypeError(f"{name} on a sequence")
    return _bounded(OPERATORS[name](left, right))


def call_method(owner: Any, name: str, *arguments: Any, **options: Any) -> Any:
    """Call one of the permitted methods of a text or a list."""
    if not isinstance(owner, (str, list)) or name not in METHODS:
        raise RefusedError(f"method {name!r}")
    if name in ("append", "insert"):
        flat(arguments)
    if name == "join":
        arguments = tuple(list(argument) for argument in arguments)
    result = getattr(owner, name)(*arguments, **options)
    _bounded(owner)
    return _bounded(result)


def flat(values: T) -> T:
    """Pass a sequence on if it holds only numbers, texts and None: comparing nested ones can take for ever."""
    for value in values:  # type: ignore[attr-defined]
        if not isinstance(value, (int, str, type(None))):
            raise RefusedError(f"a {type(value).__name__} inside a sequence")
    return _bounded(values)


def _bounded(value: T) -> T:
    if isinstance(value, int) and abs(value) > MAX_NUMBER:
        raise RefusedError(f"a number beyond {MAX_NUMBER}")
    if isinstance(value, (str, list, tuple)) and len(value) > MAX_SIZE:
        raise RefusedError(f"a sequence longer than {MAX_SIZE}")
    return value


def _range(*bounds: int) -> range:
    numbers = range(*bounds)
    if len(numbers) > MAX_SIZE:
        raise RefusedError(f"a range longer than {MAX_SIZE}")
    return numbers


def _list(values: Iterable[Any] = ()) -> list[Any]:
    return flat(list(values))


def _tuple(values: Iterable[Any] = ()) -> tuple[Any, ...]:
    return flat(tuple(values))


def _sorted(values: Iterable[Any], **options: Any) -> list[Any]:
    return flat(sorted(values, **options))


def _sum(values: Iterable[Any], start: int = 0) -> Any:
    if not isinstance(start, int):
        raise RefusedError("a sum of something other than numbers")
    return _bounded(sum(values, start))


def _str(value: Any = "") -> str:
    return str(*flat((value,)))


def _int(value: Any = 0) -> int:
    return _bounded(int(value))


BUILTINS: dict[str, Any] = {
    **{function.__name__: function for function in (abs, all, any, bool, enumerate, filter, len, map, max, min)},
    **{"reversed": reversed, "zip": zip, "range": _range, "list": _list, "tuple": _tuple, "sorted": _sorted},
    **{"sum": _sum, "str": _str, "int": _int},
}
