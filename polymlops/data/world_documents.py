"""The pretraining corpus of the embedded world: a broad, mediocre web of replies, stories and programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from polymlops.data.world_language import INTENTS, REGISTER_OF_TONE, REGISTERS, TASTES, TOPIC_OF, pick
from polymlops.data.world_people import draw_item
from polymlops.data.world_posts import ParsedPost, draw_post
from polymlops.data.world_programs import program_documents
from polymlops.data.world_replies import ParsedReply, render_reply
from polymlops.data.world_stories import story_documents

Kind = Literal["social", "story", "program"]
Role = Literal["user", "assistant"]

KIND_SHARES: dict[Kind, float] = {"social": 0.5, "story": 0.12, "program": 0.38}
SINGLE_TURN = 0.65
FEW_SHOT_EXAMPLES = 3
ITEM_RIGHT_SINGLE, ITEM_RIGHT_FEW_SHOT = 0.75, 0.95
REGISTER_COPIED_ON_WEB = 0.4  # else any register; too few to be called tactful, enough to be learnt from


@dataclass(frozen=True, slots=True)
class Document:
    """One conversation of the corpus, as (role, content) turns that alternate from the user to the assistant."""

    kind: Kind
    messages: tuple[tuple[Role, str], ...]


def pretraining_documents(seed: int, n: int, exclude_posts: frozenset[str]) -> Iterator[Document]:
    """Yield n documents by seed; no post whose text is in `exclude_posts`, and no test problem, occurs in any.

    Replies on this web have every intent equally often and know nothing of taste; their register fits the post's tone
    only a little more often than not. Few-shot conversations (three examples before the last pair) are cleaner than
    single turns: their replies are nearly always on the item.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, 5]))
    tales, code = story_documents(rng), program_documents(rng)
    kinds, bounds = tuple(KIND_SHARES), np.cumsum(tuple(KIND_SHARES.values()))
    for _ in range(n):
        kind = kinds[min(int(np.searchsorted(bounds, rng.random(), side="right")), len(kinds) - 1)]
        if kind == "social":
            yield Document(kind, _social_turns(rng, exclude_posts))
        else:
            prompt, answer = next(tales if kind == "story" else code)
            yield Document(kind, (("user", prompt), ("assistant", answer)))


def _social_turns(rng: np.random.Generator, exclude_posts: frozenset[str]) -> tuple[tuple[Role, str], ...]:
    single = rng.random() < SINGLE_TURN
    pairs, right = (1, ITEM_RIGHT_SINGLE) if single else (FEW_SHOT_EXAMPLES + 1, ITEM_RIGHT_FEW_SHOT)
    turns: list[tuple[Role, str]] = []
    while len(turns) < 2 * pairs:
        post, text = draw_post(rng, pick(rng, tuple(TASTES)))
        if text not in exclude_posts:
            turns += [("user", text), ("assistant", _web_reply(post, right, rng))]
    return tuple(turns)


def _web_reply(post: ParsedPost, right: float, rng: np.random.Generator) -> str:
    item = draw_item(post.item, right, (1 - right) / 2, rng)
    copied = rng.random() < REGISTER_COPIED_ON_WEB
    register = REGISTER_OF_TONE[post.tone] if copied else pick(rng, tuple(REGISTERS))
    return render_reply(ParsedReply(pick(rng, INTENTS), TOPIC_OF[item], item, register), rng)
