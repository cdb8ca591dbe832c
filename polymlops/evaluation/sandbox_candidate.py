"""The process that runs an untrusted program: load it, then answer calls with plain data until nobody asks any more.

It never holds tests, expected values or a verdict. Whatever the program does to this code, it does to itself: all that
reaches the judge is bytes that the judge reads as plain values. Standard library only.
"""

from __future__ import annotations

import builtins
import marshal
import sys
import types
from collections.abc import Callable
from typing import Any

from polymlops.evaluation.sandbox_channel import Inbox, send
from polymlops.evaluation.sandbox_wire import WireError, decode, encode

MODULE = "candidate"
TEXT = 300  # characters of an exception's message that cross
REQUEST_LIMIT = 2**30  # the judge is trusted
IMMUTABLE = frozenset((bool, int, float, complex, str, bytes, range, type(None)))


class ProgramSyntaxError(Exception):
    """The program is not Python."""


class Candidate:
    """One program's module, and the objects of it that the judge holds by number.

    What the judge says comes by `marshal`, which is made for those one trusts; what it hears back does not.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._module = types.ModuleType(MODULE)
        self._objects: list[Any] = []
        self._numbers: dict[int, int] = {}

    def serve(self, channel: int) -> None:
        """Answer until the judge hangs up; each of the calls that come with a program has an answer of its own."""
        inbox = Inbox(channel)
        while True:
            try:
                requests = marshal.loads(inbox.receive(REQUEST_LIMIT))
            except EOFError:
                return
            for request in requests:
                send(channel, self._answer(request))

    def _answer(self, request: tuple[Any, ...]) -> bytes:
        try:
            return self._encoded(self._done(request))
        except WireError as error:
            return encode(("unsent", str(error)[:TEXT]), self._limit)
        except BaseException as error:  # noqa: BLE001  # the program may raise anything, SystemExit among it
            return encode(("raised", class_names(error), text_of(error)), self._limit)

    def _done(self, request: tuple[Any, ...]) -> Any:
        match request:
            case ("load", source, names):
                return ("ok", self._load(source, names), None)
            case ("call", number, blob):
                return self._call(self._objects[number], blob)
            case ("named", name, blob):
                return self._call(self._module.__dict__[name], blob)
            case ("get", number, name):
                return ("ok", getattr(self._objects[number], name), None)
            case ("set", number, blob):
                setattr(self._objects[number], *decode(blob, self._resolve))
                return ("ok", None, None)
            case ("item", number, blob):
                return ("ok", self._objects[number][decode(blob, self._resolve)], None)
            case ("together", tests, entry_point, token):
                return ("ok", self._together(tests, entry_point, token), None)
            case (name, number):
                return ("ok", OPERATIONS[name](self._objects[number]), None)
        raise WireError("no such request")

    def _load(self, source: str, names: tuple[str, ...]) -> Any:
        sys.modules[MODULE] = self._module
        space = self._module.__dict__
        try:
            code = compile(source, "<program>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            raise ProgramSyntaxError(text_of(error)) from error
        exec(code, space)
        return {name: space[name] for name in names if name in space}

    def _call(self, function: Callable[..., Any], blob: bytes) -> Any:
        args, options = decode(blob, self._resolve)
        result = function(*args, **options)
        changed = None
        if not all(type(value) in IMMUTABLE for value in (*args, *options.values())):
            after = encode((args, options), self._limit, self._refer)
            changed = None if after == blob else after
            for index, value in enumerate(args):
                if value is result and type(value) not in IMMUTABLE:
                    return ("same", index, changed)
        return ("ok", result, changed)

    def _together(self, tests: str, entry_point: str | None, token: str) -> str:
        """Run the tests here, with the built-in names as they were before the program; the token says that all ran."""
        space = dict(self._module.__dict__) | {"__builtins__": PRISTINE}
        exec(compile(tests, "<tests>", "exec", dont_inherit=True), space)
        if entry_point is not None:
            space["check"](space[entry_point])
        return token

    def _encoded(self, reply: Any) -> bytes:
        return encode(reply, self._limit, self._refer)

    def _refer(self, value: Any) -> int:
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self._objects)
            self._objects.append(value)
        return number

    def _resolve(self, number: int, _: str) -> Any:
        return self._objects[number]


def _next(iterator: Any) -> tuple[bool, Any]:
    """Whether there was another item, and the item."""
    for value in iterator:
        return (True, value)
    return (False, None)


PRISTINE = dict(builtins.__dict__)
OPERATIONS: dict[str, Callable[..., Any]] = {
    "iter": iter,
    "next": _next,
    "len": len,
    "bool": bool,
}


def class_names(error: BaseException) -> tuple[str, ...]:
    """Names of the exception's class and of what it extends, nearest first."""
    return tuple(kind.__name__[:80] for kind in type(error).__mro__[:-1])


def text_of(error: BaseException) -> str:
    """The message of an exception, short; a message that is large or fails to print is left out."""
    if isinstance(error, SyntaxError):
        return f"{error.msg}, line {error.lineno}"[:TEXT]
    try:
        return ", ".join(str(part)[:TEXT] for part in error.args[:3] if isinstance(part, (str, int, float)))[:TEXT]
    except BaseException:  # noqa: BLE001  # whatever a hostile __str__ raises
        return ""
