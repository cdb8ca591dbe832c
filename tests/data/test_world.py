"""The world as callers see it: interactions, quality table, determinism, and the skew that makes breadth pay."""

from __future__ import annotations

import datetime
import hashlib
import os
import subprocess
import sys
from itertools import product

import numpy as np
import polars as pl
import pytest

from polymlops.data import world
from polymlops.data.world_language import (
    ITEMS,
    REGISTER_OF_TONE,
    REGISTERS,
    TASTES,
    TONES,
    TOPIC_OF,
    TOPICS,
    preference,
)
from polymlops.data.world_people import LIKES, intent_probabilities

# blake2b of the CSV of World(7).interactions(World(7).posts(40), 3) and of its truth frame, as `digest` below makes it,
# first computed with numpy 2.4 on x86-64 Linux
GOLDEN = "ded4c6d93a963fd36aebaebe28fdc088"
DIGEST = """
import hashlib
from polymlops.data.world import World, truth_frame
posts = World(7).posts(40)
text = World(7).interactions(posts, 3).write_csv() + truth_frame(posts).write_csv()
print(hashlib.blake2b(text.encode(), digest_size=16).hexdigest())
"""


@pytest.fixture(scope="module")
def pairs() -> tuple[list[world.Post], pl.DataFrame]:
    posts = world.World(5).posts(2_500)
    return posts, world.World(5).interactions(posts, 4)


def test_ten_thousand_pairs_have_the_promised_columns(pairs):
    posts, frame = pairs
    assert frame.height == 10_000
    assert frame.columns == ["post_id", "post", "reply_id", "reply", "author", "likes", "created"]
    assert frame["reply_id"].n_unique() == 10_000
    assert frame["likes"].dtype == pl.Int64
    assert frame["likes"].min() >= 0
    assert frame["post"].n_unique() == len({post.text for post in posts}) == len(posts)
    assert all(map(world.is_well_formed, frame["reply"]))
    days = [datetime.date.fromisoformat(day) for day in frame["created"]]
    assert datetime.date(2024, 1, 1) <= min(days) <= max(days) <= datetime.date(2024, 12, 31)


def test_authors_reply_only_inside_their_community(pairs):
    posts, frame = pairs
    community = {post.post_id: post.community for post in posts}
    assert all(a.startswith(community[p] + "-") for p, a in frame.select("post_id", "author").iter_rows())
    assert frame["author"].n_unique() > 300
    assert frame.group_by("post_id").agg(pl.col("author").n_unique())["author"].min() == 4


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_a_world_is_the_same_in_every_process(hash_seed):
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run([sys.executable, "-c", DIGEST], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == GOLDEN


def test_another_seed_is_another_world():
    assert world.World(1).posts(20) != world.World(2).posts(20)


def test_a_shorter_world_begins_the_longer_one():
    short, long = world.World(4).posts(10), world.World(4).posts(30)
    assert long[:10] == short
    frame = world.World(4).interactions(long, 2)
    assert frame.head(20).equals(world.World(4).interactions(short, 2))


@pytest.mark.parametrize("n", [-1, 20_001])
def test_an_impossible_number_of_posts_is_refused(n):
    with pytest.raises(world.InputError, match=str(n)):
        world.World(1).posts(n)


@pytest.mark.parametrize(("taste", "intent"), list(product(TASTES, world.INTENTS)))
def test_quality_equals_the_table(taste, intent):
    """Every cell of taste, intent, relevance and register, recomputed from the published weights."""
    rng = np.random.default_rng(0)
    loved, liked = TASTES[taste]
    value = 1.0 if intent in loved else 0.6 if intent in liked else 0.2
    related = {"mug": 1.0, "beans": 0.4, "chess": 0.0}
    for tone, register, (item, relevance) in product(TONES, REGISTERS, related.items()):
        post = world.Post("p", "", "coffee", "mug", tone, taste, "c00")
        text = world.render_reply(world.ParsedReply(intent, TOPIC_OF[item], item, register), rng)
        expected = 0.5 * value + 0.3 * relevance + 0.2 * (REGISTER_OF_TONE[tone] == register)
        assert world.true_quality(post, text) == pytest.approx(expected, abs=1e-12)
        assert world.expected_likes(post, text) == pytest.approx(
            np.exp(LIKES.intercept + LIKES.slope * expected + LIKES.total_sd**2 / 2)
        )


def test_quality_is_0_where_the_text_is_not_well_formed(pairs):
    posts, frame = pairs
    replies = frame["reply"].head(2)
    for text in ("", posts[0].text, replies[0] + " " + replies[1], replies[0] + " lol", replies[0][:-1]):
        assert world.true_quality(posts[0], text) == 0


def test_the_table_of_tastes_is_balanced():
    loved = [sum(preference(taste, intent) == 1.0 for taste in TASTES) for intent in world.INTENTS]
    liked = [sum(preference(taste, intent) == 0.6 for taste in TASTES) for intent in world.INTENTS]
    assert dict(zip(world.INTENTS, loved, strict=True)) == {
        "agreement": 2,
        "joke": 1,
        "question": 2,
        "tip": 1,
        "story": 2,
        "counterpoint": 1,
        "encouragement": 2,
        "fact": 1,
    }
    assert [a + b for a, b in zip(loved, liked, strict=True)] == [3] * 8
    assert len(set(REGISTER_OF_TONE.values())) == len(TONES) == 4


def test_human_replies_are_skewed_as_stated(pairs):
    posts, frame = pairs
    by_id = {post.post_id: post for post in posts}
    parsed = [(by_id[p], world.parse_reply(r)) for p, r in frame.select("post_id", "reply").iter_rows()]
    intents = [reply.intent for _, reply in parsed]
    expected = np.mean([intent_probabilities(post.taste) for post, _ in parsed], axis=0)
    shares = [intents.count(intent) / len(intents) for intent in world.INTENTS]
    assert shares == pytest.approx(expected, abs=0.02)
    assert shares[0] + shares[1] > 0.6
    assert np.mean([reply.item == post.item for post, reply in parsed]) == pytest.approx(0.9, abs=0.012)
    assert np.mean([reply.topic == post.topic for post, reply in parsed]) == pytest.approx(0.97, abs=0.008)
    matched = [reply.register == REGISTER_OF_TONE[post.tone] for post, reply in parsed]
    assert np.mean(matched) == pytest.approx(0.85, abs=0.02)


def test_breadth_pays(pairs):
    """Each taste's passing intents are many, but what people usually write passes less than half the time."""
    posts, frame = pairs
    by_id = {post.post_id: post for post in posts}
    quality = [world.true_quality(by_id[p], r) for p, r in frame.select("post_id", "reply").iter_rows()]
    assert 0.25 < np.mean(np.array(quality) >= world.PASS_THRESHOLD) < 0.5


def test_the_version_of_quality_is_named():
    assert (world.QUALITY_VERSION, world.PASS_THRESHOLD) == ("world-quality-1", 0.75)
    assert set(ITEMS) == {item for items in TOPICS.values() for item in items}
    assert hashlib.blake2b(repr(TASTES).encode(), digest_size=8).hexdigest() == "7d2bf7cdb98aaffd"
