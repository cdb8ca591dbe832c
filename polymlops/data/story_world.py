"""Openings, people's continuations of them and likes, as interactions like those of the embedded world.

People tell two of the six endings two times in three, whatever their readers enjoy, so that breadth pays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from polymlops.data.story_endings import (
    Opening,
    continuation_quality,
    draw_continuation,
    draw_opening,
    render_continuation,
)
from polymlops.data.world_people import LIKES
from polymlops.data.world_stories import ENDINGS
from polymlops.errors import InputError

SKEW = (0.38, 0.27, *[0.35 / 4] * 4)
CARE = 0.9
COMMUNITIES, AUTHORS_PER_COMMUNITY = 40, 8
MAX_OPENINGS = 20_000  # of 82,944 different texts
OPENING_TRUTH = dict.fromkeys(("post_id", "hero", "obstacle", "community"), pl.String) | {"ending_taste": pl.Int64}


@dataclass(frozen=True)
class StoryWorld:
    """One seed's openings, continuations and likes: the same in every process, whatever else is drawn."""

    seed: int

    def openings(self, n: int) -> list[Opening]:
        """The first n openings, no two with the same text; a longer list begins with the shorter one.

        Raises:
            InputError: n is negative or above `MAX_OPENINGS`.
        """
        if not 0 <= n <= MAX_OPENINGS:
            raise InputError(f"{n} openings asked for; there are between 0 and {MAX_OPENINGS}")
        rng, seen, openings = self._generator("openings"), set[str](), list[Opening]()
        while len(openings) < n:
            text, hero, obstacle, taste = draw_opening(rng)
            community = f"c{int(rng.integers(COMMUNITIES)):02d}"
            if text not in seen:
                seen.add(text)
                post_id = f"t{self.seed}-p{len(openings):05d}"
                openings.append(Opening(post_id, text, hero, obstacle, taste, community))
        return openings

    def interactions(self, openings: Sequence[Opening], continuations: int) -> pl.DataFrame:
        """One row a continuation: post_id, post, reply_id, reply, author, likes (count)."""
        effects = self._author_effects()
        rows = [row for opening in openings for row in self._told(opening, continuations, effects)]
        names = ("post_id", "post", "reply_id", "reply", "author")
        return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String) | {"likes": pl.Int64}, orient="row")

    def _told(self, opening: Opening, count: int, effects: dict[str, float]) -> Iterator[tuple[object, ...]]:
        rng = self._generator(f"continuations of {opening.post_id}")
        post_effect = LIKES.post_sd * rng.standard_normal()
        order = rng.permutation(AUTHORS_PER_COMMUNITY)
        for number in range(count):
            author = f"{opening.community}-a{int(order[number % AUTHORS_PER_COMMUNITY])}"
            ending = ENDINGS[int(rng.choice(len(ENDINGS), p=SKEW))]
            text = render_continuation(draw_continuation(opening, ending, CARE, rng), rng)
            rest = post_effect + effects[author] + LIKES.noise_sd * rng.standard_normal()
            rate = LIKES.intercept + LIKES.slope * continuation_quality(opening, text) + rest
            reply_id = f"{opening.post_id}-r{number:03d}"
            yield opening.post_id, opening.text, reply_id, text, author, int(rng.poisson(np.exp(rate)))

    def _author_effects(self) -> dict[str, float]:
        rng = self._generator("authors")
        names = [f"c{c:02d}-a{a}" for c in range(COMMUNITIES) for a in range(AUTHORS_PER_COMMUNITY)]
        return dict(zip(names, (LIKES.author_sd * rng.standard_normal(len(names))).tolist(), strict=True))

    def _generator(self, purpose: str) -> np.random.Generator:
        """A generator of its own for each purpose, so that no draw shifts another's."""
        digest = hashlib.blake2b(f"stories {purpose}".encode(), digest_size=8).digest()
        return np.random.default_rng(np.random.SeedSequence([self.seed, int.from_bytes(digest, "big")]))


def opening_truth(openings: Sequence[Opening]) -> pl.DataFrame:
    """The hidden truth of openings, one row each."""
    rows = [(item.post_id, item.hero, item.obstacle, item.community, item.taste) for item in openings]
    return pl.DataFrame(rows, schema=OPENING_TRUTH, orient="row")


def openings_from_truth(frame: pl.DataFrame, texts: dict[str, str]) -> list[Opening]:
    """Rebuild openings from their truth and their texts by post_id."""
    return [
        Opening(post_id, texts[post_id], hero, obstacle, taste, community)
        for post_id, hero, obstacle, community, taste in frame.select(list(OPENING_TRUTH)).iter_rows()
    ]
