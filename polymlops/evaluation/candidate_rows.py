"""One candidate made elsewhere: what a row may hold, checked strictly, so that nothing is guessed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from polymlops.errors import InputError

PROMPT, TEXT = ("prompt_id", "task_id"), ("text", "completion")
PLAIN = ("arm", "seed", "sample_id", "passed", "quality")
SELECTOR = "selector_"
# With them the project's own scores say why a program has no verdict; in other files they mean nothing.
VERDICT, REASON, HARNESS_ERROR = "verdict", "reason", "harness_error"
INT64 = 2**63
SHOWN = 40  # characters of a wrong value in a message
LONGEST_ARM = 100  # characters; it heads tables and legends and is a tag
FORMULA = ("=", "+", "-", "@")  # a spreadsheet that opens the CSV would compute a name that begins so


def is_used(column: str) -> bool:
    """Whether a column means anything here; all others are ignored."""
    return column in (*PROMPT, *TEXT, *PLAIN, VERDICT, REASON) or (column.startswith(SELECTOR) and column != SELECTOR)


def missing_columns(columns: Sequence[str], needs_text: bool) -> list[str]:
    """What is missing among a file's columns, one message each."""
    needed = [PROMPT, TEXT] if needs_text else [PROMPT]
    return [f"no column {a} or {b}: add one of them" for a, b in needed if not {a, b} & set(columns)]


def parse_row(row: Mapping[str, Any], needs_text: bool = True) -> dict[str, Any]:
    """Return the row under the project's names; null stands for what it does not have.

    Raises: InputError, with the value and the remedy, where it cannot be used.
    """
    parsed: dict[str, Any] = {
        "prompt_id": _identifier(_one_of(row, PROMPT), row),
        "text": _text(_one_of(row, TEXT, needs_text), row),
        "arm": _arm(row),
        "seed": _seed(row.get("seed")),
        "sample_id": _identifier("sample_id", row),
        "passed": _boolean(row.get("passed")),
        "quality": _number(row, "quality"),
        **_unjudged(row),
    }
    for column in row:
        if column.startswith(SELECTOR) and column != SELECTOR:
            parsed[column] = _number(row, column)
    return parsed


def _unjudged(row: Mapping[str, Any]) -> dict[str, str | None]:
    """Verdict and reason of a program that the harness could not judge; null for every other row."""
    if row.get(VERDICT) != HARNESS_ERROR or row.get("passed") is not None:
        return {VERDICT: None, REASON: None}
    return {VERDICT: HARNESS_ERROR, REASON: str(row.get(REASON) or "no reason given")}


def _one_of(row: Mapping[str, Any], names: tuple[str, str], needed: bool = True) -> str:
    """The one of two column names that this row has."""
    present = [name for name in names if row.get(name) is not None]
    if len(present) == 2:
        raise InputError(f"both {names[0]} and {names[1]}: keep one of them")
    if not present and needed:
        raise InputError(f"neither {names[0]} nor {names[1]}: every candidate needs one")
    return present[0] if present else names[0]


def _identifier(name: str, row: Mapping[str, Any]) -> str | None:
    value = row.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _name(row, name)


def _name(row: Mapping[str, Any], name: str) -> str | None:
    value = row.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise InputError(f"{name} is {_shown(value)}: write a string")
    if not value.strip():
        raise InputError(f"{name} is empty: write a name")
    return _encodable(name, value)


def _arm(row: Mapping[str, Any]) -> str | None:
    value = _name(row, "arm")
    fault = None if value is None else arm_fault(value)
    if fault:
        raise InputError(f"arm is {_shown(value)}: {fault}")
    return value


def arm_fault(arm: str) -> str | None:
    """Why a name cannot head a table, with the remedy; none where it can. Markup can: it is shown as text."""
    if len(arm) > LONGEST_ARM:
        return f"{len(arm)} characters; write at most {LONGEST_ARM}"
    if not arm.isprintable():
        return "it has a line break or another character that does not print; leave that out"
    if arm.startswith(FORMULA):
        return f"a spreadsheet would take it for a formula; begin it with anything but {' '.join(FORMULA)}"
    return None


def _text(name: str, row: Mapping[str, Any]) -> str | None:
    value = row.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise InputError(f"{name} is {_shown(value)}: write a string")
    return _encodable(name, value)


def _encodable(name: str, value: str) -> str:
    try:
        if not value.isascii():
            value.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{name} has half a character (a lone surrogate) at {error.start}: replace it") from None
    return value


def _seed(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not -INT64 <= value < INT64:
        raise InputError(f"seed is {_shown(value)}: write a whole number")
    return value


def _boolean(value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise InputError(f"passed is {_shown(value)}: write true or false, without quotes")


def _number(row: Mapping[str, Any], name: str) -> float | None:
    value = row.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{name} is {_shown(value)}: write a number, without quotes")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InputError(f"{name} is {number}: score the candidate, or leave the column out")
    return number


def _shown(value: Any) -> str:
    """A wrong value with its kind, short enough for one line."""
    kinds = {bool: "a boolean", str: "a string", int: "a number", float: "a number", list: "a list", dict: "an object"}
    text = json.dumps(value) if isinstance(value, str | bool) else repr(value)
    short = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
    return f"{short}, {kinds.get(type(value), type(value).__name__)}"
