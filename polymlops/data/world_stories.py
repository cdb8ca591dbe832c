"""Tiny stories of the embedded world: want, obstacle, helper, resolution and ending, parsed back and judged exactly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from polymlops.data.world_language import pick, pick_other, template_pattern

ANIMALS = ("fox", "bear", "wolf", "goat", "duck", "kitten", "puppy", "parrot")
THINGS = ("guitar", "shovel", "mug", "suitcase", "recipe", "leash", "novel", "rope")
HELPERS = ("aunt", "uncle", "neighbor", "teacher", "cousin", "wizard")
MOODS = ("tiny", "loud", "brave", "clever", "gentle", "quiet")
HOMES = ("by the river", "in the park", "near the market", "under a hill", "in the attic", "in a library")
WANTS = ("see the sunrise", "win the marathon", "find a friend", "cook some soup", "learn a poem", "visit the king")
OBSTACLES: dict[str, tuple[str, str, str]] = {  # what stands in the way, and what overcomes it
    "the bridge was broken": ("fix the bridge", "reach the other side", "cross the water"),
    "the night was too dark": ("light the way", "call the stars", "wait for the morning"),
    "the gate was locked": ("open the gate", "find the key", "climb over the gate"),
    "a storm came down": ("keep warm", "hide from the storm", "wait under a roof"),
    "everyone was asleep": ("wake everyone", "make a loud noise", "ring the bell"),
    "a giant said no": ("trick the giant", "make the giant laugh", "pay the giant"),
}
RESOLUTIONS = tuple(way for ways in OBSTACLES.values() for way in ways)
ENDINGS = (
    "was happy for years",
    "came home with a smile",
    "never felt alone again",
    "told everyone about it",
    "took a long nap",
    "shared popcorn with everyone",
)

PROMPT = "Write a story about a {animal} and a {thing}."
OPENINGS = ("once there was a {mood} {animal} {home}.", "a {mood} {animal} lived {home}.")
WISHES = ("the {wisher} wanted to {want}.", "every day the {wisher} hoped to {want}.")
TROUBLES = ("but {obstacle}.", "one day {obstacle}.")
HELPS = ("then a kind {helper} came with an idea.", "an old {helper} stopped to help.")
TURNS = ("they used the {thing} to {resolution}.", "with the {thing} they could {resolution}.")
CLOSINGS = ("in the end the {ender} {ending}.", "so the {ender} {ending}.")
SLOTS: dict[str, tuple[str, ...]] = {
    "mood": MOODS,
    "animal": ANIMALS,
    "home": HOMES,
    "wisher": ANIMALS,
    "want": WANTS,
    "obstacle": tuple(OBSTACLES),
    "helper": HELPERS,
    "thing": THINGS,
    "resolution": RESOLUTIONS,
    "ender": ANIMALS,
    "ending": ENDINGS,
}


@dataclass(frozen=True, slots=True)
class ParsedStory:
    """The plot of a story. `wisher` and `ender` are the animals of the wish and the closing; None where left out."""

    animal: str
    wisher: str
    thing: str
    want: str
    obstacle: str
    helper: str | None
    resolution: str
    ender: str | None
    ending: str | None

    @property
    def animals(self) -> tuple[str, ...]:
        """Every animal that the story names as its hero, in order."""
        return tuple(name for name in (self.animal, self.wisher, self.ender) if name is not None)

    @property
    def resolution_fits(self) -> bool:
        """True where the resolution overcomes this story's obstacle."""
        return self.resolution in OBSTACLES[self.obstacle]


def story_prompts(seed: int, n: int) -> list[str]:
    """N story prompts by seed; the 64 pairs of animal and thing come in a new order each time round."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 3]))
    pairs = [(animal, thing) for animal in ANIMALS for thing in THINGS]
    order = [int(index) for _ in range(-(-n // len(pairs))) for index in rng.permutation(len(pairs))]
    return [PROMPT.format(animal=pairs[index][0], thing=pairs[index][1]) for index in order[:n]]


def parse_story_prompt(prompt: str) -> tuple[str, str] | None:
    """The (animal, thing) that a prompt asks for, or None where it is not a story prompt of this world."""
    match = _pattern(PROMPT).fullmatch(prompt.strip())
    return None if match is None else (match["animal"], match["thing"])


def draw_story(animal: str, thing: str, care: float, rng: np.random.Generator) -> ParsedStory:
    """A plot for a prompt; each of wisher, ender, thing and resolution is right with probability `care`.

    Helper and closing are each left out one time in five, so that a story has four to six sentences.
    """

    def carefully(right: str, options: tuple[str, ...]) -> str:
        return right if rng.random() < care else pick_other(rng, options, right)

    obstacle = pick(rng, tuple(OBSTACLES))
    helped, closed = rng.random() < 0.8, rng.random() < 0.8
    fitting = pick(rng, OBSTACLES[obstacle])
    unfitting = pick(rng, [way for way in RESOLUTIONS if way not in OBSTACLES[obstacle]])
    return ParsedStory(
        animal=animal,
        wisher=carefully(animal, ANIMALS),
        thing=carefully(thing, THINGS),
        want=pick(rng, WANTS),
        obstacle=obstacle,
        helper=pick(rng, HELPERS) if helped else None,
        resolution=fitting if rng.random() < care else unfitting,
        ender=carefully(animal, ANIMALS) if closed else None,
        ending=pick(rng, ENDINGS) if closed else None,
    )


def render_story(story: ParsedStory, rng: np.random.Generator) -> str:
    """Tell a plot; the wording of each sentence, and what the plot does not fix, are drawn."""
    sentences = [
        pick(rng, OPENINGS).format(mood=pick(rng, MOODS), animal=story.animal, home=pick(rng, HOMES)),
        pick(rng, WISHES).format(wisher=story.wisher, want=story.want),
        pick(rng, TROUBLES).format(obstacle=story.obstacle),
    ]
    if story.helper is not None:
        sentences.append(pick(rng, HELPS).format(helper=story.helper))
    sentences.append(pick(rng, TURNS).format(thing=story.thing, resolution=story.resolution))
    if story.ender is not None:
        sentences.append(pick(rng, CLOSINGS).format(ender=story.ender, ending=story.ending))
    return " ".join(sentences)


@cache
def _pattern(wording: str) -> re.Pattern[str]:
    """The expression that matches one wording of one sentence."""
    return template_pattern(wording, SLOTS)


@cache
def _sentence_patterns() -> tuple[tuple[bool, tuple[re.Pattern[str], ...]], ...]:
    """For each sentence of a story, whether it may be left out, and the expressions of its wordings."""
    parts = ((False, OPENINGS), (False, WISHES), (False, TROUBLES), (True, HELPS), (False, TURNS), (True, CLOSINGS))
    return tuple((optional, tuple(map(_pattern, wordings))) for optional, wordings in parts)


def parse_story(text: str) -> ParsedStory | None:
    """Read a story back by the exact grammar, or None; only whitespace around the text is forgiven."""
    sentences = re.split(r"(?<=\.) ", text.strip())
    found: dict[str, str] = {}
    position = 0
    for optional, patterns in _sentence_patterns():
        sentence = sentences[position] if position < len(sentences) else ""
        match = next((m for pattern in patterns if (m := pattern.fullmatch(sentence))), None)
        if match is not None:
            found.update(match.groupdict())
            position += 1
        elif not optional:
            return None
    if position != len(sentences):
        return None
    return ParsedStory(
        animal=found["animal"],
        wisher=found["wisher"],
        thing=found["thing"],
        want=found["want"],
        obstacle=found["obstacle"],
        helper=found.get("helper"),
        resolution=found["resolution"],
        ender=found.get("ender"),
        ending=found.get("ending"),
    )


def story_quality(prompt: str, text: str) -> float:
    """Coherence of a story in [0, 1]: .4 the prompt's animal throughout, .3 its thing used, .3 a resolution that fits.

    The first part is the share of the hero's mentions that name the prompt's animal. A text that does not parse, or a
    prompt that is not one of this world, scores 0.
    """
    asked, story = parse_story_prompt(prompt), parse_story(text)
    if asked is None or story is None:
        return 0.0
    animal, thing = asked
    share = sum(name == animal for name in story.animals) / len(story.animals)
    return 0.4 * share + 0.3 * (story.thing == thing) + 0.3 * story.resolution_fits


def story_documents(rng: np.random.Generator, care: float = 0.85) -> Iterator[tuple[str, str]]:
    """Endless (prompt, story) pairs of a mediocre web: each coherent choice is right with probability `care`."""
    while True:
        animal, thing = pick(rng, ANIMALS), pick(rng, THINGS)
        yield PROMPT.format(animal=animal, thing=thing), render_story(draw_story(animal, thing, care, rng), rng)
