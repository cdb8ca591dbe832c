"""The embedded world: posts, replies and likes with known truth, small enough for a one-million-parameter model.

A post has a topic, a tone and a hidden audience taste at which its text only hints; a reply has an intent, an item and
a register; likes are drawn around the true quality of the pair. Every text parses back, so the quality, intent and
well-formedness of anything that a model writes are known exactly. Human replies are skewed to agreement and jokes.

Neighbours: `world_language` (words), `world_posts`, `world_replies` (grammar), `world_people` (truth and behaviour),
`world_ceiling` (what text can tell about likes), `world_documents` (pretraining), `world_stories`, `world_programs`.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from polymlops.data.world_ceiling import bayes_prediction, noise_ceiling
from polymlops.data.world_documents import Document, pretraining_documents
from polymlops.data.world_language import INTENTS, TASTES, pick
from polymlops.data.world_people import (
    LIKES,
    PASS_THRESHOLD,
    QUALITY_VERSION,
    draw_human_reply,
    expected_likes,
    true_quality,
)
from polymlops.data.world_posts import Post, draw_post, parse_post, posts_from_truth, truth_frame
from polymlops.data.world_replies import ParsedReply, is_well_formed, parse_reply, render_reply, true_intent
from polymlops.errors import InputError

__all__ = [
    "INTENTS",
    "PASS_THRESHOLD",
    "QUALITY_VERSION",
    "Document",
    "ParsedReply",
    "Post",
    "World",
    "bayes_prediction",
    "expected_likes",
    "is_well_formed",
    "noise_ceiling",
    "parse_post",
    "parse_reply",
    "posts_from_truth",
    "pretraining_documents",
    "render_reply",
    "true_intent",
    "true_quality",
    "truth_frame",
]

COMMUNITIES = 40
AUTHORS_PER_COMMUNITY = 8
MAX_POSTS = 20_000  # of 27,648 different texts
FIRST_DAY = datetime.date(2024, 1, 1)
SCHEMA = {
    "post_id": pl.String,
    "post": pl.String,
    "reply_id": pl.String,
    "reply": pl.String,
    "author": pl.String,
    "likes": pl.Int64,
    "created": pl.String,
}


@dataclass(frozen=True)
class World:
    """One world: the same seed gives the same posts, people, replies and likes, bit for bit, in every process."""

    seed: int

    def posts(self, n: int) -> list[Post]:
        """The world's first n posts, no two with the same text; a longer list begins with the shorter one.

        Raises:
            InputError: n is negative or above `MAX_POSTS`.
        """
        if not 0 <= n <= MAX_POSTS:
            raise InputError(f"{n} posts asked for; the world has between 0 and {MAX_POSTS}")
        rng, seen, posts = self._generator("posts"), set[str](), list[Post]()
        while len(posts) < n:
            taste = pick(rng, tuple(TASTES))
            parsed, text = draw_post(rng, taste)
            community = f"c{int(rng.integers(COMMUNITIES)):02d}"
            if text not in seen:
                seen.add(text)
                post_id = f"w{self.seed}-p{len(posts):05d}"
                posts.append(Post(post_id, text, parsed.topic, parsed.item, parsed.tone, taste, community))
        return posts

    def interactions(self, posts: Sequence[Post], replies_per_post: int) -> pl.DataFrame:
        """Human replies to the posts and their likes, one row a reply; a post's rows don't depend on the other posts.

        Columns: post_id, post, reply_id, reply, author, likes (count), created (ISO date). Authors reply only inside
        their community (author "c07-a3" belongs to "c07").
        """
        rows = [row for post in posts for row in self._replies(post, replies_per_post)]
        return pl.DataFrame(rows, schema=SCHEMA, orient="row")

    def _replies(self, post: Post, count: int) -> Iterator[tuple[object, ...]]:
        rng = self._generator(f"replies to {post.post_id}")
        post_effect = LIKES.post_sd * rng.standard_normal()
        posted = FIRST_DAY + datetime.timedelta(days=int(rng.integers(360)))
        order = rng.permutation(AUTHORS_PER_COMMUNITY)
        for number in range(count):
            author = f"{post.community}-a{int(order[number % AUTHORS_PER_COMMUNITY])}"
            text = render_reply(draw_human_reply(post, rng), rng)
            effects = post_effect + self._author_effects[author] + LIKES.noise_sd * rng.standard_normal()
            likes = int(rng.poisson(np.exp(LIKES.intercept + LIKES.slope * true_quality(post, text) + effects)))
            created = posted + datetime.timedelta(days=int(rng.integers(6)))
            yield post.post_id, post.text, f"{post.post_id}-r{number:03d}", text, author, likes, created.isoformat()

    @cached_property
    def _author_effects(self) -> dict[str, float]:
        rng = self._generator("authors")
        names = [f"c{c:02d}-a{a}" for c in range(COMMUNITIES) for a in range(AUTHORS_PER_COMMUNITY)]
        return dict(zip(names, (LIKES.author_sd * rng.standard_normal(len(names))).tolist(), strict=True))

    def _generator(self, purpose: str) -> np.random.Generator:
        """A generator of its own for each purpose, so that no draw shifts another's."""
        digest = hashlib.blake2b(purpose.encode(), digest_size=8).digest()
        return np.random.default_rng(np.random.SeedSequence([self.seed, int.from_bytes(digest, "big")]))
