"""How people of the embedded world behave: what they enjoy, how they reply, and how many likes a reply gets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from polymlops.data.world_language import (
    INTENTS,
    ITEMS,
    REGISTER_OF_TONE,
    REGISTERS,
    TOPIC_OF,
    TOPICS,
    pick,
    pick_other,
    preference,
)
from polymlops.data.world_posts import Post
from polymlops.data.world_replies import ParsedReply, parse_reply

QUALITY_VERSION = "world-quality-1"
PASS_THRESHOLD = 0.75

SKEW: dict[str, float] = {"agreement": 0.38, "joke": 0.27}
REST_OF_SKEW = 0.35 / 6
ITEM_RIGHT, ITEM_NEAR = 0.9, 0.07  # else an item of another topic
REGISTER_COPIED = 0.8  # else any register, the matching one included
RELEVANCE_SAME_ITEM, RELEVANCE_SAME_TOPIC = 1.0, 0.4


@dataclass(frozen=True, slots=True)
class LikesModel:
    """likes ~ Poisson(exp(intercept + slope * quality + author + post + noise)), the last three Gaussian, in nats."""

    intercept: float = 0.0
    slope: float = 5.0
    author_sd: float = 0.2
    post_sd: float = 0.2
    noise_sd: float = 0.2

    @property
    def total_sd(self) -> float:
        """Standard deviation of everything in the log rate that no text shows."""
        return math.sqrt(self.author_sd**2 + self.post_sd**2 + self.noise_sd**2)


LIKES = LikesModel()


def cell_quality(preferred: float, relevance: float, register_matches: bool) -> float:
    """True quality in [0, 1] of a well-formed reply: .5 preference + .3 relevance + .2 register match."""
    return 0.5 * preferred + 0.3 * relevance + 0.2 * register_matches


def relevance(post_item: str, reply_item: str) -> float:
    """1 for the post's item, .4 for another item of its topic, else 0."""
    if post_item == reply_item:
        return RELEVANCE_SAME_ITEM
    return RELEVANCE_SAME_TOPIC if TOPIC_OF[post_item] == TOPIC_OF[reply_item] else 0.0


def true_quality(post: Post, text: str) -> float:
    """True quality in [0, 1] of a text as a reply to a post; 0 where it is not well formed (`QUALITY_VERSION`)."""
    reply = parse_reply(text)
    if reply is None:
        return 0.0
    matches = reply.register == REGISTER_OF_TONE[post.tone]
    return cell_quality(preference(post.taste, reply.intent), relevance(post.item, reply.item), matches)


def expected_likes(post: Post, text: str, model: LikesModel = LIKES) -> float:
    """Expected number of likes of a reply by a random author, given the post's true taste."""
    return math.exp(model.intercept + model.slope * true_quality(post, text) + model.total_sd**2 / 2)


@cache
def intent_probabilities(taste: str) -> tuple[float, ...]:
    """How often people reply with each intent (in the order of `INTENTS`) to a post of one taste."""
    weights = [SKEW.get(intent, REST_OF_SKEW) * (0.7 + 0.3 * preference(taste, intent)) for intent in INTENTS]
    return tuple(weight / sum(weights) for weight in weights)


def draw_item(post_item: str, right: float, near: float, rng: np.random.Generator) -> str:
    """The item that a reply is about: the post's, or another of its topic, or one of another topic."""
    chance = rng.random()
    topic = TOPIC_OF[post_item]
    if chance < right:
        return post_item
    if chance < right + near:
        return pick_other(rng, TOPICS[topic], post_item)
    return pick(rng, [item for item in ITEMS if TOPIC_OF[item] != topic])


def draw_human_reply(post: Post, rng: np.random.Generator) -> ParsedReply:
    """What a person replies: skewed to agreement and jokes, mostly on the item, often in the post's register."""
    chances = np.cumsum(intent_probabilities(post.taste))
    intent = INTENTS[min(int(np.searchsorted(chances, rng.random(), side="right")), len(INTENTS) - 1)]
    item = draw_item(post.item, ITEM_RIGHT, ITEM_NEAR, rng)
    copied = rng.random() < REGISTER_COPIED
    register = REGISTER_OF_TONE[post.tone] if copied else pick(rng, tuple(REGISTERS))
    return ParsedReply(intent, TOPIC_OF[item], item, register)
