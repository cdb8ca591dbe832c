"""Posts of the embedded world: an opening that names item and topic, a tone, and a hint at the hidden taste."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from re import Pattern

import numpy as np
import polars as pl

from polymlops.data.world_language import (
    HINTS,
    ITEMS,
    TASTES,
    TONES,
    TOPIC_OF,
    TOPICS,
    pick,
    pick_other,
    template_pattern,
)
from polymlops.errors import InputError

HINT_RELIABILITY = 0.65

OPENINGS: tuple[str, ...] = (
    "today the {item} took over my whole {topic} routine.",
    "my {topic} week began and ended with the {item}.",
    "i finally spent some real time on {topic} and the {item}.",
    "nobody told me {topic} would come down to the {item}.",
    "day three of {topic} and the {item} still surprised me.",
    "a small {topic} update: the {item} changed everything.",
)


@dataclass(frozen=True, slots=True)
class Post:
    """A post with its truth: `taste` is what its readers really enjoy, and the text only hints at it."""

    post_id: str
    text: str
    topic: str
    item: str
    tone: str
    taste: str
    community: str


@dataclass(frozen=True, slots=True)
class ParsedPost:
    """What a post's text says; `hint` is the taste it points at, which may not be the true one."""

    topic: str
    item: str
    tone: str
    hint: str


def render_post(parsed: ParsedPost, rng: np.random.Generator) -> str:
    """Write a post that says what is given; opening and wordings are drawn."""
    opening = pick(rng, OPENINGS).format(item=parsed.item, topic=parsed.topic)
    return f"{opening} {pick(rng, TONES[parsed.tone])} {pick(rng, HINTS[parsed.hint])}"


def draw_hint(taste: str, rng: np.random.Generator) -> str:
    """The taste that a post hints at: the true one with probability .65, else one of the other five."""
    return taste if rng.random() < HINT_RELIABILITY else pick_other(rng, tuple(TASTES), taste)


def draw_post(rng: np.random.Generator, taste: str) -> tuple[ParsedPost, str]:
    """A random post for readers of one taste: its content and its text."""
    item = pick(rng, ITEMS)
    parsed = ParsedPost(TOPIC_OF[item], item, pick(rng, tuple(TONES)), draw_hint(taste, rng))
    return parsed, render_post(parsed, rng)


@cache
def _opening_patterns() -> tuple[Pattern[str], ...]:
    slots = {"item": ITEMS, "topic": tuple(TOPICS)}
    return tuple(template_pattern(opening + " ", slots) for opening in OPENINGS)


@cache
def _endings() -> dict[str, tuple[str, str]]:
    return {
        f"{mood} {wording}": (tone, hint)
        for tone, moods in TONES.items()
        for mood in moods
        for hint, wordings in HINTS.items()
        for wording in wordings
    }


def parse_post(text: str) -> ParsedPost | None:
    """Read a post back, or None where the text is not a post of this world."""
    text = text.strip()
    for pattern in _opening_patterns():
        match = pattern.match(text)
        if match is None:
            continue
        ending = _endings().get(text[match.end() :])
        if ending is None or TOPIC_OF[match["item"]] != match["topic"]:
            return None
        return ParsedPost(match["topic"], match["item"], *ending)
    return None


def truth_frame(posts: Sequence[Post]) -> pl.DataFrame:
    """The hidden truth of posts, one row a post: post_id, topic, item, tone, taste, community."""
    columns = ("post_id", "topic", "item", "tone", "taste", "community")
    return pl.DataFrame(
        {name: [getattr(post, name) for post in posts] for name in columns}, schema=dict.fromkeys(columns, pl.String)
    )


def posts_from_truth(frame: pl.DataFrame, texts: Mapping[str, str]) -> list[Post]:
    """Rebuild posts from a truth frame and their texts by post_id, in the frame's order.

    Raises:
        InputError: a post of the frame has no text.
    """
    rows = frame.select("post_id", "topic", "item", "tone", "taste", "community").to_dicts()
    missing = [row["post_id"] for row in rows if row["post_id"] not in texts]
    if missing:
        raise InputError(f"no text for post {missing[0]!r} ({len(missing)} missing): pass the texts of every post")
    return [Post(text=texts[row["post_id"]], **row) for row in rows]
