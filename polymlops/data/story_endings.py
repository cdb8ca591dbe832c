"""Openings of tiny stories and what continues them, in the wording of `world_stories`; parsed back and judged exactly.

An opening names a hero, a wish and an obstacle. A continuation may bring a helper, overcomes the obstacle and tells an
ending, which is its intent. Readers love two of the six endings, like two and care little for two; which ones is
hidden, and the hero's mood hints at it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from polymlops.data.world_language import COOL, LIKED, LOVED, pick, pick_other, template_pattern
from polymlops.data.world_people import cell_quality
from polymlops.data.world_stories import (
    ANIMALS,
    CLOSINGS,
    ENDINGS,
    HELPERS,
    HELPS,
    HOMES,
    MOODS,
    OBSTACLES,
    OPENINGS,
    RESOLUTIONS,
    SLOTS,
    THINGS,
    TROUBLES,
    TURNS,
    WANTS,
    WISHES,
)

QUALITY_VERSION = "story-quality-1"
HINT_RELIABILITY = 0.65
SENTENCE = re.compile(r"(?<=\.) ")


@dataclass(frozen=True, slots=True)
class Opening:
    """An opening with its truth: `taste` is the number of the first of the two endings that its readers love."""

    post_id: str
    text: str
    hero: str
    obstacle: str
    taste: int
    community: str


@dataclass(frozen=True, slots=True)
class Continuation:
    """How a story goes on; no helper where that is left out."""

    helper: str | None
    thing: str
    resolution: str
    ender: str
    ending: str


def draw_opening(rng: np.random.Generator) -> tuple[str, str, str, int]:
    """Text, hero, obstacle and hidden taste of a random opening; the mood is the taste's with probability .65."""
    taste = int(rng.integers(len(ENDINGS)))
    hint = MOODS[taste] if rng.random() < HINT_RELIABILITY else pick_other(rng, MOODS, MOODS[taste])
    hero, obstacle = pick(rng, ANIMALS), pick(rng, tuple(OBSTACLES))
    sentences = (
        pick(rng, OPENINGS).format(mood=hint, animal=hero, home=pick(rng, HOMES)),
        pick(rng, WISHES).format(wisher=hero, want=pick(rng, WANTS)),
        pick(rng, TROUBLES).format(obstacle=obstacle),
    )
    return " ".join(sentences), hero, obstacle, taste


def draw_continuation(opening: Opening, ending: str, care: float, rng: np.random.Generator) -> Continuation:
    """A continuation with this ending; its hero and its resolution are each right with probability `care`."""
    fitting = OBSTACLES[opening.obstacle]
    fits, same = rng.random() < care, rng.random() < care
    return Continuation(
        helper=pick(rng, HELPERS) if rng.random() < 0.5 else None,
        thing=pick(rng, THINGS),
        resolution=pick(rng, fitting if fits else [way for way in RESOLUTIONS if way not in fitting]),
        ender=opening.hero if same else pick_other(rng, ANIMALS, opening.hero),
        ending=ending,
    )


def render_continuation(told: Continuation, rng: np.random.Generator) -> str:
    """Tell a continuation; wordings are drawn."""
    sentences = [] if told.helper is None else [pick(rng, HELPS).format(helper=told.helper)]
    sentences.append(pick(rng, TURNS).format(thing=told.thing, resolution=told.resolution))
    sentences.append(pick(rng, CLOSINGS).format(ender=told.ender, ending=told.ending))
    return " ".join(sentences)


def parse_continuation(text: str) -> Continuation | None:
    """Read a continuation back by the exact grammar, or None; only white space around the text is forgiven."""
    sentences = SENTENCE.split(text.strip())
    parts = (HELPS, TURNS, CLOSINGS)[-len(sentences) :]
    if len(sentences) not in (2, 3):
        return None
    found: dict[str, str] = {}
    for sentence, wordings in zip(sentences, parts, strict=True):
        match = next((m for wording in wordings if (m := template_pattern(wording, SLOTS).fullmatch(sentence))), None)
        if match is None:
            return None
        found |= match.groupdict()
    return Continuation(found.get("helper"), found["thing"], found["resolution"], found["ender"], found["ending"])


def ending_preference(taste: int, ending: str) -> float:
    """How much readers enjoy an ending: 1 for the two that they love, .6 for the next two, .2 for the others."""
    place = (ENDINGS.index(ending) - taste) % len(ENDINGS)
    return (LOVED, LOVED, LIKED, LIKED, COOL, COOL)[place]


def continuation_quality(opening: Opening, text: str) -> float:
    """True quality in [0, 1]: .5 preference for the ending + .3 the obstacle is overcome + .2 the hero stays the same.

    0 for a text that does not parse (`QUALITY_VERSION`).
    """
    told = parse_continuation(text)
    if told is None:
        return 0.0
    fits = told.resolution in OBSTACLES[opening.obstacle]
    return cell_quality(ending_preference(opening.taste, told.ending), float(fits), told.ender == opening.hero)
