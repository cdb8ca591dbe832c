"""What the frozen models say about (post, reply): blocks of features, and the measurements that betray junk."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from polymlops.errors import InputError
from polymlops.models.encoder import embed, load_encoder
from polymlops.training.reward_likelihood import ReadReply, ReplyLikelihood, read_replies
from polymlops.training.text_shape import echo_share, repeated_share, words_of

if TYPE_CHECKING:
    from polymlops.metrics.arrays import Floats

SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
SHIFT_BANDS = (0.0, 0.5, 1.0, 2.0, np.inf)  # nats: from a change of style to a change of subject
GUARDS = ("improbable", "worst_token", "long", "short", "repeated", "echoed")


@dataclass(frozen=True, slots=True)
class PairFeatures:
    """N pairs. Blocks, each (N, D): post, its opening, middle and closing sentences, reply, and fit of the two.

    `guards_NG` are the `GUARDS`, all of them higher where a reply is worse: mean and worst negative log-probability
    of a token, words, words negated, share of repeated word trigrams, share of words in runs copied from the post.
    """

    blocks: Mapping[str, Floats]
    guards_NG: Floats

    def rows(self, index: Any) -> PairFeatures:
        """The pairs at `index`, an array of positions or a mask."""
        return PairFeatures({name: block[index] for name, block in self.blocks.items()}, self.guards_NG[index])


@dataclass(frozen=True)
class FrozenFeatures:
    """A sentence encoder and a language model, neither trained here, with the reference posts."""

    encoder: Any
    reader: ReplyLikelihood
    references: tuple[str, ...]

    @classmethod
    def load(cls, base: Path, references: Sequence[str]) -> FrozenFeatures:
        """Load from the folder of a base model, whose encoder lies in `encoder/`."""
        return cls(load_encoder(base / "encoder"), ReplyLikelihood.load(base), tuple(references))

    def compute(self, posts: Sequence[str], replies: Sequence[str]) -> PairFeatures:
        """Features of pairs, in order; a pair's features don't depend on the other pairs.

        Raises:
            InputError: as many posts as replies are needed, or a post is longer than the context.
        """
        if len(posts) != len(replies):
            raise InputError(f"{len(posts)} posts for {len(replies)} replies: one each is needed")
        read = read_replies(self.reader, self.references, posts, replies)
        parts = [split_post(post) for post in posts]
        blocks = {"post": self._embed(posts), "reply": self._embed(replies)}
        for place, name in enumerate(("opening", "middle", "closing")):
            blocks[name] = self._embed([part[place] for part in parts])
        blocks["fit"] = np.array([shift_summary(item.shift_T) for item in read]).reshape(len(read), -1)
        measured = [guard_row(*row) for row in zip(posts, replies, read, strict=True)]
        return PairFeatures(blocks, np.array(measured).reshape(len(read), len(GUARDS)))

    def _embed(self, texts: Sequence[str]) -> Floats:
        unique = sorted(set(texts))
        place = {text: index for index, text in enumerate(unique)}
        return embed(self.encoder, unique).astype(np.float64)[[place[text] for text in texts]]


def split_post(post: str) -> tuple[str, str, str]:
    """First sentence, everything between, last sentence; of a single sentence, first and last are the same."""
    sentences = SENTENCE_END.split(post.strip())
    return sentences[0], " ".join(sentences[1:-1]), sentences[-1]


def shift_summary(shift_T: Floats) -> list[float]:
    """Largest and smallest shift, sums (whole, clipped at 1 and at 2 nats), and sums over bands of magnitude."""
    size_T = np.abs(shift_T)
    bands = [float(shift_T[(size_T >= low) & (size_T < high)].sum()) for low, high in pairwise(SHIFT_BANDS)]
    clipped = [float(np.clip(shift_T, -limit, limit).sum()) for limit in (1, 2)]
    return [float(shift_T.max()), float(shift_T.min()), float(shift_T.sum()), *clipped, *bands]


def guard_row(post: str, reply: str, read: ReadReply) -> list[float]:
    """The `GUARDS` of one pair."""
    words = len(words_of(reply))
    surprise_T = -read.log_probs_T
    return [
        float(surprise_T.mean()),
        float(surprise_T.max()),
        float(words),
        float(-words),
        repeated_share(reply),
        echo_share(post, reply),
    ]
