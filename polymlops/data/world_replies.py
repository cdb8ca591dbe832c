"""Replies of the embedded world: one of eight intents about one item, in one of four registers; parsed back exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from re import Pattern

import numpy as np

from polymlops.data.world_language import (
    FREE_SLOTS,
    INTENTS,
    ITEMS,
    REGISTERS,
    TOPIC_OF,
    TOPICS,
    fill,
    pick,
    template_pattern,
)

BODIES: dict[str, tuple[str, ...]] = {
    "agreement": (
        "yes, you are right, the {item} really can be that {adj}.",
        "same here, the {item} did exactly that to me on {day}.",
        "totally agree, {topic} without the {item} would be less {adj}.",
        "so true, my {person} says it about the {item} every {day}.",
    ),
    "joke": (
        "why did the {item} cross the {place}? to get away from {topic}.",
        "my {person} married the {item} and the wedding was very {adj}.",
        "i asked the {item} for a joke and got my {person}.",
        "knock knock, guess who, the {adj} {item} from the {place} again.",
    ),
    "question": (
        "did the {item} come from the {place} or from your {person}?",
        "how long did you keep the {item} in the {place}?",
        "what would you do if the {item} broke on {day}?",
        "which part of {topic} made the {item} feel so {adj}?",
    ),
    "tip": (
        "try to keep the {item} near the {place} until {day}.",
        "always check the {item} twice before {topic} on {day}.",
        "put something {adj} under the {item} and wait {number} minutes.",
        "use a {adj} cloth on the {item} every {day}.",
    ),
    "story": (
        "last {day} my {person} lost the {item} at the {place}.",
        "years ago i carried the {item} {number} miles to the {place}.",
        "once my {person} cried over the {item} in a {adj} {place}.",
        "when i was {number} the {item} saved our {topic} trip.",
    ),
    "counterpoint": (
        "i disagree, nobody calls the {item} the {adj} part of {topic}.",
        "but maybe the {item} only looked {adj} from the {place}.",
        "not so fast, my {person} did fine without the {item}.",
        "on the other hand, skipping the {item} until {day} costs nothing.",
    ),
    "encouragement": (
        "keep going, you and the {item} will shine by {day}.",
        "you got this, the {item} will love someone so {adj}.",
        "do not give up on the {item}, {topic} needs you on {day}.",
        "so happy for you, next {day} the {item} will feel {adj}.",
    ),
    "fact": (
        "studies show that the {item} can last {number} years in a {place}.",
        "the first {item} in {topic} appeared {number} hundred years ago.",
        "experts found {number} kinds of {item} in every {place}.",
        "in fact {number} percent of {topic} depends on the {item}.",
    ),
}


@dataclass(frozen=True, slots=True)
class ParsedReply:
    """What a reply says; `topic` is always the topic that its item belongs to."""

    intent: str
    topic: str
    item: str
    register: str


def render_reply(reply: ParsedReply, rng: np.random.Generator) -> str:
    """Write a reply that says what is given; template, free slots and register marker are drawn."""
    body = fill(pick(rng, BODIES[reply.intent]), {"item": reply.item, "topic": reply.topic}, rng)
    openers, closers = REGISTERS[reply.register]
    marker = pick(rng, openers + closers)
    return f"{marker} {body}" if marker in openers else f"{body} {marker}"


@cache
def _body_patterns() -> tuple[tuple[str, Pattern[str]], ...]:
    slots = {**FREE_SLOTS, "item": ITEMS, "topic": tuple(TOPICS)}
    return tuple((intent, template_pattern(body, slots)) for intent in INTENTS for body in BODIES[intent])


def _unmarked(text: str) -> Iterator[tuple[str, str]]:
    """Every (register, rest of the text) for a register marker that the text opens or closes with."""
    for register, (openers, closers) in REGISTERS.items():
        yield from ((register, text[len(mark) + 1 :]) for mark in openers if text.startswith(mark + " "))
        yield from ((register, text[: -len(mark) - 1]) for mark in closers if text.endswith(" " + mark))


def _parse_body(body: str) -> tuple[str, str] | None:
    """The intent and item of a reply without its register marker."""
    for intent, pattern in _body_patterns():
        match = pattern.fullmatch(body)
        if match is not None:
            fields = match.groupdict()
            item = fields["item"]
            return (intent, item) if fields.get("topic", TOPIC_OF[item]) == TOPIC_OF[item] else None
    return None


def parse_reply(text: str) -> ParsedReply | None:
    """Read a reply back by the exact grammar; only whitespace around the text is forgiven.

    None for everything else: empty text, an echo of the post, two replies glued together, a tail of garbage, or a
    topic that the item does not belong to.
    """
    for register, body in _unmarked(text.strip()):
        found = _parse_body(body)
        if found is not None:
            intent, item = found
            return ParsedReply(intent, TOPIC_OF[item], item, register)
    return None


def true_intent(text: str) -> str | None:
    """The intent of a reply, or None where the text is not well formed."""
    parsed = parse_reply(text)
    return None if parsed is None else parsed.intent


def is_well_formed(text: str) -> bool:
    """True where the text is exactly one reply of this world."""
    return parse_reply(text) is not None
