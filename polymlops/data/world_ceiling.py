"""What text can tell about likes in the embedded world: the Bayes predictor and its correlation, without simulation."""

from __future__ import annotations

import math
from functools import cache
from itertools import product

import numpy as np

from polymlops.data.world_language import INTENTS, REGISTER_OF_TONE, REGISTERS, TASTES, preference
from polymlops.data.world_people import (
    ITEM_NEAR,
    ITEM_RIGHT,
    LIKES,
    REGISTER_COPIED,
    RELEVANCE_SAME_ITEM,
    RELEVANCE_SAME_TOPIC,
    LikesModel,
    cell_quality,
    intent_probabilities,
    relevance,
)
from polymlops.data.world_posts import HINT_RELIABILITY, parse_post
from polymlops.data.world_replies import parse_reply
from polymlops.errors import InputError

RELEVANCE_CHANCES = {
    RELEVANCE_SAME_ITEM: ITEM_RIGHT,
    RELEVANCE_SAME_TOPIC: ITEM_NEAR,
    0.0: 1 - ITEM_RIGHT - ITEM_NEAR,
}
MATCH_CHANCE = REGISTER_COPIED + (1 - REGISTER_COPIED) / len(REGISTERS)
NODES = 48  # Gauss-Hermite nodes; 24 and 96 give the same ceiling to 1e-6


@cache
def log_likes_moments(quality: float, model: LikesModel = LIKES) -> tuple[float, float]:
    """E[y] and E[y^2] of y = log1p(likes) at a known quality: Gauss-Hermite over the Gaussian, a sum over counts."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    rates = np.exp(model.intercept + model.slope * quality + model.total_sd * nodes)
    first = second = 0.0
    for rate, weight in zip(rates, weights / weights.sum(), strict=True):
        counts = np.arange(int(rate + 12 * math.sqrt(rate) + 30))
        log_factorials = np.concatenate(([0.0], np.cumsum(np.log(counts[1:]))))
        mass = np.exp(counts * math.log(rate) - rate - log_factorials)
        first += weight * float(mass @ np.log1p(counts))
        second += weight * float(mass @ np.log1p(counts) ** 2)
    return first, second


@cache
def _joint_with_tastes(hint: str, intent: str) -> dict[str, float]:
    """P(taste, hint, intent) of human replies for each taste; tastes are equally common."""
    miss = (1 - HINT_RELIABILITY) / (len(TASTES) - 1)
    index = INTENTS.index(intent)
    return {
        taste: (HINT_RELIABILITY if taste == hint else miss) * intent_probabilities(taste)[index] / len(TASTES)
        for taste in TASTES
    }


@cache
def taste_posterior(hint: str, intent: str) -> dict[str, float]:
    """P(taste | hint of the post, intent of a human reply): people choose the intent with the taste in mind."""
    joint = _joint_with_tastes(hint, intent)
    return {taste: chance / sum(joint.values()) for taste, chance in joint.items()}


def _moments_given_text(
    hint: str, intent: str, related: float, matches: bool, model: LikesModel
) -> tuple[float, float]:
    """E[y] and E[y^2] of y = log1p(likes) given all that a pair of texts shows."""
    first = second = 0.0
    for taste, chance in taste_posterior(hint, intent).items():
        quality = cell_quality(preference(taste, intent), related, matches)
        moments = log_likes_moments(quality, model)
        first, second = first + chance * moments[0], second + chance * moments[1]
    return first, second


def bayes_prediction(post_text: str, reply: str, model: LikesModel = LIKES) -> float:
    """E[log1p(likes) | post text, reply text] for a human reply by a random author: no predictor correlates better.

    Author and post effects are noise to the text. A reply that is not well formed is predicted at quality 0.

    Raises:
        InputError: the post is not a post of this world.
    """
    post = parse_post(post_text)
    if post is None:
        raise InputError(f"not a post of the embedded world: {post_text[:60]!r}; only its own posts can be predicted")
    parsed = parse_reply(reply)
    if parsed is None:
        return log_likes_moments(0.0, model)[0]
    matches = parsed.register == REGISTER_OF_TONE[post.tone]
    return _moments_given_text(post.hint, parsed.intent, relevance(post.item, parsed.item), matches, model)[0]


def noise_ceiling(model: LikesModel = LIKES) -> float:
    """The best Pearson correlation that any function of (post text, reply text) has with log1p(likes).

    sqrt(Var(E[y | text]) / Var(y)), by enumeration of hint, intent, relevance and register match (all else in the
    texts is independent of the likes), the taste's posterior, and numerical moments of a log-normal Poisson.
    """
    cells: list[tuple[float, float, float]] = []
    states = product(TASTES, INTENTS, RELEVANCE_CHANCES.items(), ((True, MATCH_CHANCE), (False, 1 - MATCH_CHANCE)))
    for hint, intent, (related, p_related), (matches, p_matches) in states:
        chance = sum(_joint_with_tastes(hint, intent).values()) * p_related * p_matches
        cells.append((chance, *_moments_given_text(hint, intent, related, matches, model)))
    mean = sum(chance * first for chance, first, _ in cells)
    explained = sum(chance * (first - mean) ** 2 for chance, first, _ in cells)
    total = sum(chance * second for chance, _, second in cells) - mean**2
    return math.sqrt(explained / total)
