"""The embedded world's verdict on any text for a post of a dataset: for scores and dynamics, never for a loss.

A dataset of stories holds openings in the place of posts, and its replies are continuations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from polymlops.data.splits import SPLITS
from polymlops.data.story_endings import QUALITY_VERSION as STORY_QUALITY_VERSION
from polymlops.data.story_endings import Opening, continuation_quality, parse_continuation
from polymlops.data.story_world import OPENING_TRUTH, openings_from_truth
from polymlops.data.world_people import PASS_THRESHOLD, QUALITY_VERSION, true_quality
from polymlops.data.world_posts import Post, posts_from_truth
from polymlops.data.world_replies import parse_reply
from polymlops.errors import InputError

TRUTH = "truth.parquet"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is true of one candidate: quality in [0, 1], 0 where it is not well formed; intent None there."""

    quality: float
    passed: bool
    intent: str | None
    well_formed: bool


@dataclass(frozen=True, slots=True)
class Truth:
    """Posts of a dataset with their hidden side, by post_id."""

    posts: Mapping[str, Post | Opening]

    @property
    def version(self) -> str:
        """Which quality passes from where."""
        stories = any(isinstance(post, Opening) for post in self.posts.values())
        return f"{STORY_QUALITY_VERSION if stories else QUALITY_VERSION}>={PASS_THRESHOLD}"

    def judge(self, post_id: str, text: str) -> Verdict:
        """Judge a candidate; the intent of a continuation is its ending.

        Raises:
            InputError: the dataset has no such post.
        """
        post = self.posts.get(post_id)
        if post is None:
            raise InputError(f"{post_id}: no post of this dataset; were the samples made for another one?")
        if isinstance(post, Opening):
            told, quality = parse_continuation(text), continuation_quality(post, text)
            intent = told.ending if told else None
        else:
            parsed, quality = parse_reply(text), true_quality(post, text)
            intent = parsed.intent if parsed else None
        return Verdict(quality, quality >= PASS_THRESHOLD, intent, intent is not None)


def knows_truth(dataset: Path) -> bool:
    """True for a prepared dataset of the embedded world; nobody knows the truth about other data."""
    return (dataset / TRUTH).is_file()


def load_truth(dataset: Path) -> Truth:
    """Read the truth of every post of a prepared dataset of the embedded world.

    Raises: InputError where the data is not the world's.
    """
    if not knows_truth(dataset):
        raise InputError("nobody knows the truth about this dataset: only data.source.kind world and stories have it")
    texts = {
        post_id: post
        for split in SPLITS
        for post_id, post in pl.read_parquet(dataset / f"{split}.parquet", columns=["post_id", "post"]).iter_rows()
    }
    frame = pl.read_parquet(dataset / TRUTH).filter(pl.col("post_id").is_in(list(texts)))
    told = set(OPENING_TRUTH) <= set(frame.columns)
    posts = openings_from_truth(frame, texts) if told else posts_from_truth(frame, texts)
    return Truth({post.post_id: post for post in posts})
