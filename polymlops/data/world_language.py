"""The words of the embedded world: what posts are about, who reads them, and how templates become a grammar.

Everything is lower case and small on purpose: a language model of one million parameters has to learn all of it in
about two minutes on a CPU. Every slot value and template is unambiguous, so that a text can be parsed back exactly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

TOPICS: dict[str, tuple[str, ...]] = {
    "coffee": ("grinder", "espresso", "beans", "mug"),
    "gardening": ("tomatoes", "roses", "shovel", "compost"),
    "running": ("shoes", "marathon", "trail", "stopwatch"),
    "cooking": ("soup", "oven", "knife", "recipe"),
    "music": ("guitar", "piano", "playlist", "concert"),
    "travel": ("suitcase", "passport", "train", "hostel"),
    "coding": ("compiler", "tests", "keyboard", "server"),
    "reading": ("novel", "library", "poem", "bookshelf"),
    "pets": ("kitten", "puppy", "parrot", "leash"),
    "weather": ("storm", "snow", "umbrella", "sunrise"),
    "movies": ("trailer", "popcorn", "sequel", "villain"),
    "games": ("chess", "puzzle", "dice", "controller"),
}
TOPIC_OF: dict[str, str] = {item: topic for topic, items in TOPICS.items() for item in items}
ITEMS: tuple[str, ...] = tuple(TOPIC_OF)

TONES: dict[str, tuple[str, str]] = {
    "upbeat": ("i feel great about it!", "what a lovely day it was!"),
    "weary": ("i am so tired of it.", "now i need a long nap."),
    "curious": ("i wonder how it works.", "i keep asking myself why."),
    "proud": ("i did it all by myself.", "i worked hard for this one."),
}

INTENTS: tuple[str, ...] = (
    "agreement",
    "joke",
    "question",
    "tip",
    "story",
    "counterpoint",
    "encouragement",
    "fact",
)

# loved and liked intents of each hidden taste: every intent is loved or liked by exactly three of the six tastes
TASTES: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "jokers": (("joke", "story"), ("counterpoint", "agreement")),
    "thinkers": (("question", "fact"), ("counterpoint", "tip")),
    "makers": (("tip", "question"), ("fact", "encouragement")),
    "friends": (("agreement", "encouragement"), ("joke", "story")),
    "debaters": (("counterpoint", "agreement"), ("fact", "joke")),
    "dreamers": (("story", "encouragement"), ("tip", "question")),
}
LOVED, LIKED, COOL = 1.0, 0.6, 0.2

HINTS: dict[str, tuple[str, str]] = {
    "jokers": ("my friends here love a good laugh.", "we could all use a smile."),
    "thinkers": ("this crowd likes to think things through.", "deep minds are welcome below."),
    "makers": ("we like to fix things here.", "the builders here know what to do."),
    "friends": ("it is nice to have kind company.", "we stick together around here."),
    "debaters": ("say what you really believe.", "nobody here is afraid to speak up."),
    "dreamers": ("we sit by the fire and dream.", "let your mind wander with us."),
}

# each register's openers and closers; a reply carries exactly one of the four
REGISTERS: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "playful": (("ha,", "oh boy,"), ("hee hee!", "wink wink!")),
    "warm": (("dear friend,", "bless you,"), ("big hug.", "with love.")),
    "dry": (("well,", "i suppose,"), ("or whatever.", "as usual.")),
    "earnest": (("honestly,", "truly,"), ("i mean it.", "for real.")),
}
REGISTER_OF_TONE: dict[str, str] = {"upbeat": "playful", "weary": "warm", "curious": "earnest", "proud": "dry"}

FREE_SLOTS: dict[str, tuple[str, ...]] = {
    "adj": ("tiny", "loud", "brave", "clever", "golden", "gentle", "wild", "quiet"),
    "place": ("kitchen", "garage", "office", "park", "market", "attic"),
    "person": ("aunt", "uncle", "neighbor", "boss", "cousin", "teacher"),
    "day": ("monday", "tuesday", "friday", "sunday"),
    "number": ("two", "three", "seven", "ten", "forty"),
}


def preference(taste: str, intent: str) -> float:
    """How much readers of one taste enjoy one intent: 1 loved, .6 liked, .2 neither."""
    loved, liked = TASTES[taste]
    if intent in loved:
        return LOVED
    return LIKED if intent in liked else COOL


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """Draw one option, each equally likely."""
    return options[int(rng.integers(len(options)))]


def pick_other(rng: np.random.Generator, options: Sequence[str], avoid: str) -> str:
    """Draw one option that is not `avoid`."""
    return pick(rng, [option for option in options if option != avoid])


def fill(template: str, slots: Mapping[str, str], rng: np.random.Generator) -> str:
    """Fill the given slots of a template, and its free slots at random."""
    free = {name: pick(rng, values) for name, values in FREE_SLOTS.items() if "{" + name + "}" in template}
    return template.format(**slots, **free)


def template_pattern(template: str, slots: Mapping[str, Sequence[str]]) -> re.Pattern[str]:
    """Compile a template into the expression that matches exactly what it can produce."""
    pattern = re.escape(template)
    for name, values in slots.items():
        group = f"(?P<{name}>{'|'.join(map(re.escape, values))})"
        pattern = pattern.replace(re.escape("{" + name + "}"), group)
    return re.compile(pattern)
