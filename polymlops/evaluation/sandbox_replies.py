"""What a program's replies become in the judge's process: known exceptions, and arguments as the program left them."""

from __future__ import annotations

import builtins
from typing import Any

# Exceptions that would end a loop of the test early, and let a test with all() or map() pass.
STEERING = ("StopIteration", "StopAsyncIteration")


class SampleGoneError(BaseException):
    """The program's process ended, or said something that is no answer. No test may catch it."""


class UnsplittableError(BaseException):
    """A test hands the program something that is not plain data: it has to run in the program's process."""


class CandidateError(Exception):
    """An exception of a class that the program defined itself."""


class CandidateExitError(BaseException):
    """What the program raised is no Exception: SystemExit and the like, which `except Exception` lets pass."""


class ForesightError(BaseException):
    """The tests called otherwise than was foreseen: the program has to start again."""


def exception_of(names: tuple[Any, ...], text: str) -> BaseException:
    """The exception to raise here for one that the program raised; its first note is the class's own name."""
    kinds = [kind for name in names if isinstance(kind := getattr(builtins, str(name), None), type)]
    kind = next((kind for kind in kinds if issubclass(kind, BaseException)), Exception)
    if not issubclass(kind, Exception):
        kind = CandidateExitError
    elif kind.__name__ in STEERING or kind is Exception:
        kind = CandidateError
    try:
        error = kind(text)
    except TypeError:  # the classes about encodings want five arguments
        error = CandidateError(text)
    error.add_note(str(names[0]) if names else "exception")
    return error


def update(args: list[Any], options: dict[str, Any], after: Any) -> None:
    """Give the test's own arguments the content that the program left in its copies, in place."""
    match after:
        case (tuple(values), dict(named)) if len(values) == len(args):
            pairs = [*zip(args, values, strict=True), *((options[key], named.get(key)) for key in options)]
            for before, value in pairs:
                _overwrite(before, value)


def _overwrite(before: Any, after: Any) -> Any:
    """`before` with the content of `after` where both are one kind of container, else `after`."""
    if type(before) is not type(after):
        return after
    if isinstance(before, list):
        kept = [_overwrite(old, new) for old, new in zip(before, after, strict=False)]
        before[:] = kept + after[len(kept) :]
        return before
    if isinstance(before, dict):
        merged = {key: _overwrite(before[key], value) if key in before else value for key, value in after.items()}
        before.clear()
        before.update(merged)
        return before
    if isinstance(before, set):
        before.clear()
        before.update(after)
        return before
    if isinstance(before, (bytearray,)) or hasattr(before, "popleft"):
        before.clear()
        before.extend(after)
        return before
    return after
