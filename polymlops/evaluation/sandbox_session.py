"""The judge's side of one sample: objects that stand for the program's, whose calls cross to its process.

Values come back as plain data and are compared here. What is not plain data stays there and is held by number: it can
be called, iterated, indexed, asked for attributes and its length, but it has no operators, and it equals nothing but
itself, whatever its class says.
"""

from __future__ import annotations

import marshal
from collections import deque
from collections.abc import Iterator
from typing import Any

from polymlops.evaluation.sandbox_channel import Inbox, send
from polymlops.evaluation.sandbox_foresight import Script
from polymlops.evaluation.sandbox_replies import (
    ForesightError,
    SampleGoneError,
    UnsplittableError,
    exception_of,
    update,
)
from polymlops.evaluation.sandbox_wire import WireError, decode, encode

ARGUMENT_LIMIT = 2**28
FRAME = 4096  # what a message adds to the value in it


class Session:
    """One sample. `fault` is what ended it, kept, so that a test that swallows everything hides nothing."""

    def __init__(self, channel: int, limit: int, script: Script) -> None:
        self._channel = channel
        self._inbox = Inbox(channel)
        self._limit = limit + FRAME
        self._script = script
        self._ahead: deque[tuple[int | None, bytes]] = deque()
        self._names: dict[int, str] = {}
        self._recording = True
        self._known: dict[int, RemoteObject] = {}
        self.fault: BaseException | None = None

    def load(self, source: str, names: tuple[str, ...]) -> dict[str, Any]:
        """Load the program, and send the calls that are foreseen with it; returns which of the names it defines.

        Raises: as in `ask`.
        """
        self._send(("load", source, names), *(("named", *call) for call in self._script.calls))
        theirs = self._receive()[1]
        if not isinstance(theirs, dict):
            raise self._ended(SampleGoneError("no answer: not names"))
        numbers = {name: number_of(value) for name, value in theirs.items() if type(value) is RemoteObject}
        self._names = {number: name for name, number in numbers.items()}
        self._ahead.extend((numbers.get(name), arguments) for name, arguments in self._script.calls)
        return theirs

    def call(self, number: int, arguments: bytes) -> Any:
        """Call a function of the program, or take the answer to a call that was foreseen. Raises: as in `ask`."""
        if self._ahead:
            if self._ahead[0] != (number, arguments):
                raise self._surprised()
            self._ahead.popleft()
            return self._receive()
        name = self._names.get(number)
        self._recording = self._recording and name is not None and self._script.extend(name, arguments)
        self._send(("call", number, arguments))
        return self._receive()

    def ask(self, *request: Any) -> Any:
        """Send any other request and return (kind, value, changed arguments).

        Raises:
            SampleGoneError: there is no answer.
            ForesightError: calls were foreseen, and not this.
            BaseException: what the program raised, as the same built-in class or the nearest that it extends.
        """
        if self._ahead:
            raise self._surprised()
        self._recording = False
        self._send(request)
        return self._receive()

    def _surprised(self) -> BaseException:
        self._script.shorten(len(self._script.calls) - len(self._ahead))
        return self._ended(ForesightError("the tests call otherwise than before"))

    def _send(self, *requests: Any) -> None:
        if self.fault is not None:
            raise self.fault
        try:
            send(self._channel, marshal.dumps(requests))
        except OSError as error:
            raise self._ended(SampleGoneError("exited")) from error

    def _receive(self) -> Any:
        if self.fault is not None:
            raise self.fault
        try:
            reply = decode(self._inbox.receive(self._limit), self._resolve)
        except (EOFError, OSError) as error:
            raise self._ended(SampleGoneError("exited")) from error
        except WireError as error:
            raise self._ended(SampleGoneError(f"no answer: {error}")) from error
        return self._opened(reply)

    def pack(self, value: Any) -> bytes:
        """Arguments as bytes. Raises: UnsplittableError where they are not plain data."""
        try:
            return encode(value, ARGUMENT_LIMIT, plain_number)
        except WireError as error:
            raise self._ended(UnsplittableError(str(error))) from error

    def unpack(self, data: Any) -> Any:
        """Bytes inside a reply as a value. Raises: SampleGoneError."""
        try:
            return decode(data, self._resolve)
        except (WireError, TypeError) as error:
            raise self._ended(SampleGoneError(f"no answer: {error}")) from error

    def _opened(self, reply: Any) -> Any:
        match reply:
            case ("ok" | "same" as kind, value, changed):
                return kind, value, changed
            case ("raised", tuple(names), str(text)):
                raise exception_of(names, text)
            case ("unsent", str(text)):
                raise self._ended(SampleGoneError(f"handed over {text}"))
        raise self._ended(SampleGoneError("no answer: not a reply"))

    def _ended(self, fault: BaseException) -> BaseException:
        self.fault = fault
        return fault

    def _resolve(self, number: int, name: str) -> RemoteObject:
        if number not in self._known:
            self._known[number] = RemoteObject(self, number, name)
        return self._known[number]


def number_of(value: RemoteObject) -> int:
    """The number of an object, past its own attributes, which are the program's."""
    return int(object.__getattribute__(value, "_number"))


def plain_number(value: Any) -> int:
    """The number of an object of the program's. Raises: WireError for any other."""
    if type(value) is not RemoteObject:
        raise WireError(f"a {type(value).__name__} is no plain data")
    return number_of(value)


class RemoteObject:
    """Something in the program's process that is not plain data."""

    __slots__ = ("_name", "_number", "_session")

    def __init__(self, session: Session, number: int, name: str) -> None:
        for key, value in (("_session", session), ("_number", number), ("_name", name)):
            object.__setattr__(self, key, value)

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Call it with plain data, and give the arguments the content that it leaves in them."""
        session = self._session
        kind, value, changed = session.call(self._number, session.pack((args, options)))
        if changed is not None:
            update(list(args), options, session.unpack(changed))
        return args[value] if kind == "same" and isinstance(value, int) and 0 <= value < len(args) else value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._session.ask("get", self._number, name)[1]

    def __setattr__(self, name: str, value: Any) -> None:
        self._session.ask("set", self._number, self._session.pack((name, value)))

    def __iter__(self) -> Iterator[Any]:
        iterator = self._session.ask("iter", self._number)[1]
        if not isinstance(iterator, RemoteObject):
            yield from iterator
            return
        number = number_of(iterator)
        while (item := self._session.ask("next", number)[1]) != (False, None):
            yield item[1]

    def __next__(self) -> Any:
        found, value = self._session.ask("next", self._number)[1]
        if not found:
            raise StopIteration
        return value

    def __len__(self) -> int:
        return int(self._session.ask("len", self._number)[1])

    def __bool__(self) -> bool:
        return self._session.ask("bool", self._number)[1] is True

    def __getitem__(self, key: Any) -> Any:
        return self._session.ask("item", self._number, self._session.pack(key))[1]

    def __repr__(self) -> str:
        return f"<{self._name} in the program's process>"
