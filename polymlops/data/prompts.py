"""What the language model sees: prompts, few-shot examples and the chat they are put into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from polymlops.data.cleaning import comparable
from polymlops.data.splits import SPLITS
from polymlops.errors import ArtifactError, DataQualityError, InputError

# Examples come from this share of the posts, those whose best reply is liked most.
WELL_LIKED = 0.25


@dataclass(frozen=True, slots=True)
class Prompt:
    """One post to reply to; `prompt_id` is its post_id."""

    prompt_id: str
    text: str


def load_split(dataset: Path, split: str) -> pl.DataFrame:
    """Return one split of a prepared dataset: post_id, post, reply_id, reply, author, likes and what the source added.

    Raises: InputError for an unknown split, ArtifactError where the dataset lacks the file.
    """
    if split not in SPLITS:
        raise InputError(f"there is no split {split!r}: {', '.join(SPLITS)}")
    path = dataset / f"{split}.parquet"
    if not path.is_file():
        raise ArtifactError(f"the dataset lacks {path.name}: prepare it again")
    return pl.read_parquet(path)


def prompts_of(dataset: Path, split: str, limit: int, seed: int) -> list[Prompt]:
    """Return at most `limit` prompts of a split, one a post text, chosen by `seed` whatever the order in the file.

    Choices are nested: the first prompts of a larger limit are those of a smaller one.
    """
    posts = load_split(dataset, split).select("post_id", "post").sort("post_id", "post").unique("post_id", keep="first")
    # Two posts with one text are one prompt: as two they would count as independent evidence.
    first_of = {
        comparable(text): Prompt(post_id, text) for post_id, text in posts.sort("post_id", descending=True).rows()
    }
    prompts = sorted(first_of.values(), key=lambda prompt: prompt.prompt_id)
    chosen = np.random.default_rng(seed).permutation(len(prompts))[:limit]
    return [prompts[i] for i in chosen]


def few_shot_examples(dataset: Path, count: int, seed: int) -> tuple[tuple[str, str], ...]:
    """Return `count` pairs of (post, reply) from train_sft: the best-liked replies of different, well-answered posts.

    Raises: DataQualityError where there are fewer posts than examples.
    """
    rows = load_split(dataset, "train_sft").sort("likes", "post_id", "reply_id", descending=[True, False, False])
    best = {comparable(row["post"]): row for row in reversed(list(rows.iter_rows(named=True)))}
    if len(best) < count:
        raise DataQualityError(f"{count} few-shot examples need as many posts in train_sft, which has {len(best)}")
    ranked = sorted(best.values(), key=lambda row: (-row["likes"], row["post_id"]))
    pool = ranked[: max(count, int(len(ranked) * WELL_LIKED))]
    chosen = np.random.default_rng(seed).choice(len(pool), size=count, replace=False)
    return tuple((pool[i]["post"], pool[i]["reply"]) for i in chosen)


def chat(post: str, examples: Sequence[tuple[str, str]] = ()) -> list[dict[str, str]]:
    """Return the messages that ask for a reply to `post`, earlier exchanges first.

    The generation prompt is the tokenizer's to add.
    """
    messages = [
        {"role": role, "content": content}
        for pair in examples
        for role, content in zip(("user", "assistant"), pair, strict=True)
    ]
    return [*messages, {"role": "user", "content": post}]
