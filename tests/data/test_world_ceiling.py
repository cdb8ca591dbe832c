"""The stated noise ceiling is what simulation finds, and no regression on the text gets past it."""

from __future__ import annotations

import numpy as np
import pytest

from polymlops.data.world import World, bayes_prediction, noise_ceiling, parse_post, parse_reply
from polymlops.data.world_ceiling import log_likes_moments, taste_posterior
from polymlops.data.world_language import INTENTS, REGISTER_OF_TONE, TASTES
from polymlops.data.world_people import LIKES, LikesModel, relevance
from polymlops.errors import InputError


@pytest.fixture(scope="module")
def simulated() -> tuple[list[str], list[str], np.ndarray]:
    world = World(11)
    frame = world.interactions(world.posts(20_000), 5)
    return frame["post"].to_list(), frame["reply"].to_list(), np.log1p(frame["likes"].to_numpy())


def test_moments_equal_simulation():
    rng = np.random.default_rng(0)
    for quality in (0.1, 0.66, 1.0):
        rates = np.exp(LIKES.intercept + LIKES.slope * quality + LIKES.total_sd * rng.standard_normal(400_000))
        y = np.log1p(rng.poisson(rates))
        assert log_likes_moments(quality) == pytest.approx((y.mean(), (y**2).mean()), rel=4e-3)


def test_the_posterior_is_a_distribution_that_trusts_the_hint():
    for hint in TASTES:
        for intent in INTENTS:
            posterior = taste_posterior(hint, intent)
            assert sum(posterior.values()) == pytest.approx(1)
            assert max(posterior, key=posterior.__getitem__) == hint


def test_the_ceiling_is_in_its_range_and_falls_with_noise():
    assert 0.65 <= noise_ceiling() <= 0.75
    louder = LikesModel(noise_sd=LIKES.noise_sd * 2)
    assert noise_ceiling(louder) < noise_ceiling()
    assert noise_ceiling(LikesModel(slope=0.0)) == pytest.approx(0, abs=1e-6)


def test_the_bayes_predictor_reaches_the_ceiling(simulated):
    posts, replies, y = simulated
    predicted = np.array([bayes_prediction(post, reply) for post, reply in zip(posts, replies, strict=True)])
    assert len(y) == 100_000
    assert np.corrcoef(predicted, y)[0, 1] == pytest.approx(noise_ceiling(), abs=0.01)
    assert predicted.mean() == pytest.approx(y.mean(), abs=0.03)


def test_no_regression_on_the_text_exceeds_the_ceiling(simulated):
    """Fitted on half the posts and judged on the rest: a mean per cell of what the grammar reads, then every word."""
    posts, replies, y = simulated
    half = len(y) // 2
    cells = np.array([_cell(post, reply) for post, reply in zip(posts, replies, strict=True)])
    sums = np.bincount(cells[:half], y[:half], cells.max() + 1)
    counts = np.bincount(cells[:half], minlength=cells.max() + 1)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), y[:half].mean())
    features = np.column_stack([means[cells], _bag_of_words(posts), _bag_of_words(replies)])
    gram = features[:half].T @ features[:half] + np.eye(features.shape[1])
    weights = np.linalg.solve(gram, features[:half].T @ y[:half])
    reached = np.corrcoef(features[half:] @ weights, y[half:])[0, 1]
    assert noise_ceiling() - 0.03 < reached < noise_ceiling() + 0.01


def _cell(post_text: str, reply_text: str) -> int:
    post, reply = parse_post(post_text), parse_reply(reply_text)
    related = (1.0, 0.4, 0.0).index(relevance(post.item, reply.item))
    matches = reply.register == REGISTER_OF_TONE[post.tone]
    return int(((tuple(TASTES).index(post.hint) * 8 + INTENTS.index(reply.intent)) * 3 + related) * 2 + matches)


def _bag_of_words(texts: list[str]) -> np.ndarray:
    vocabulary = {word: index for index, word in enumerate(sorted({word for text in texts for word in text.split()}))}
    bags = np.zeros((len(texts), len(vocabulary)), dtype=np.float32)
    for row, text in enumerate(texts):
        bags[row, [vocabulary[word] for word in text.split()]] = 1
    return bags


def test_what_is_no_post_cannot_be_predicted():
    with pytest.raises(InputError, match="hello"):
        bayes_prediction("hello", "big hug.")


def test_a_reply_that_is_not_well_formed_is_predicted_at_quality_0():
    post = World(1).posts(1)[0]
    assert bayes_prediction(post.text, "junk") == log_likes_moments(0.0)[0]
