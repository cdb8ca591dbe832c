"""The form that a judge fills in, and its strict reading: one JSON object, exactly these keys, only these values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from polymlops.config.judge import HIGHEST, LOWEST, RubricConfig

REASON = "reason"
EXCERPT = 160  # characters of an answer that a fault quotes
SCORES = tuple(range(LOWEST, HIGHEST + 1))
CHOICES = ("A", "B", "tie")


@dataclass(frozen=True, slots=True)
class Field:
    """One value to fill in; `options` are of one type, whole numbers or words."""

    name: str
    options: tuple[int, ...] | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parsed:
    """What an answer says, by field, and the judge's own reason, cut short; or None and what is wrong with it."""

    values: Mapping[str, int | str] | None
    fault: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """A reason in words, then the fields."""

    fields: tuple[Field, ...]

    def schema(self) -> dict[str, Any]:
        """JSON schema of an answer."""
        values = {field.name: {"type": _type_name(field), "enum": list(field.options)} for field in self.fields}
        properties: dict[str, Any] = {REASON: {"type": "string"}} | values
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }

    def parse(self, text: str) -> Parsed:
        """Read an answer; white space around the object is all that is forgiven.

        Refused: text or fences around the object, missing, further or repeated keys, a score that is not a whole
        number from 1 to 10 (7.0, "7" and true are not), a choice that is not one of the words.
        """
        try:
            found = json.loads(text, object_pairs_hook=_once_each, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            return Parsed(None, f"not one JSON object ({error}): {excerpt(text)}")
        if not isinstance(found, dict):
            return Parsed(None, f"a JSON {type(found).__name__}, not an object: {excerpt(text)}")
        fault = self._fault(found)
        if fault:
            return Parsed(None, f"{fault}: {excerpt(text)}")
        reason = excerpt(found[REASON]) if found[REASON] else ""
        return Parsed({field.name: found[field.name] for field in self.fields}, reason=reason)

    def fill(self, values: Sequence[int | str], reason: str = "") -> str:
        """The answer that gives each field its value, in order."""
        names = [field.name for field in self.fields]
        return json.dumps({REASON: reason} | dict(zip(names, values, strict=True)))

    def _fault(self, found: Mapping[str, Any]) -> str:
        expected = {REASON, *(field.name for field in self.fields)}
        if missing := sorted(expected - found.keys()):
            return f"lacks {', '.join(missing)}"
        if surplus := sorted(found.keys() - expected):
            return f"has unknown keys {', '.join(surplus)[:EXCERPT]}"
        if not isinstance(found[REASON], str):
            return f"{REASON} is not a string"
        for field in self.fields:
            value = found[field.name]
            if type(value) is not type(field.options[0]) or value not in field.options:
                return f"{field.name} is {excerpt(repr(value))}, not one of {field.options[0]} .. {field.options[-1]}"
        return ""


def pointwise_form(rubric: RubricConfig) -> Form:
    """A whole number from 1 to 10 for each criterion."""
    return Form(tuple(Field(criterion.name, SCORES) for criterion in rubric.criteria))


def pairwise_form() -> Form:
    """Text A, text B, or a tie."""
    return Form((Field("winner", CHOICES),))


def excerpt(text: str) -> str:
    """The beginning of a text on one line, printable, for a message."""
    line = " ".join(text.split())
    shown = "".join(mark if mark.isprintable() else "?" for mark in line[:EXCERPT])
    return shown + ("..." if len(line) > EXCERPT else "") if shown else "(nothing)"


def _type_name(field: Field) -> str:
    return "integer" if isinstance(field.options[0], int) else "string"


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key comes twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")
