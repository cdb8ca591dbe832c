"""Posts say what they should, hint as reliably as stated, and can be rebuilt from a stored frame."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polymlops.data.world import World, posts_from_truth, truth_frame
from polymlops.data.world_language import ITEMS, TASTES, TONES, TOPIC_OF, TOPICS
from polymlops.data.world_posts import HINT_RELIABILITY, ParsedPost, parse_post, render_post
from polymlops.errors import InputError


@given(
    st.sampled_from(ITEMS),
    st.sampled_from(sorted(TONES)),
    st.sampled_from(sorted(TASTES)),
    st.integers(0, 2**32 - 1),
)
def test_every_post_reads_back(item, tone, hint, seed):
    parsed = ParsedPost(TOPIC_OF[item], item, tone, hint)
    text = render_post(parsed, np.random.default_rng(seed))
    assert parse_post(f" {text}\n") == parsed
    assert parse_post(text + " more") is None
    assert parse_post(text[:-1]) is None
    assert len(text.split()) <= 28


def test_twelve_topics_of_four_items_each():
    assert len(TOPICS) == 12
    assert all(len(items) == 4 for items in TOPICS.values())
    assert len(ITEMS) == len(set(ITEMS)) == 48
    assert not set(ITEMS) & set(TOPICS)


def test_a_post_about_an_item_of_another_topic_is_none():
    post = "my pets week began and ended with the leash. i did it all by myself. deep minds are welcome below."
    assert parse_post(post) == ParsedPost("pets", "leash", "proud", "thinkers")
    assert parse_post(post.replace("pets", "games")) is None


def test_the_hint_is_right_as_often_as_stated_and_otherwise_uniform():
    posts = World(3).posts(12_000)
    hints = [parse_post(post.text).hint for post in posts]
    right = [hint == post.taste for hint, post in zip(hints, posts, strict=True)]
    assert np.mean(right) == pytest.approx(HINT_RELIABILITY, abs=4 * np.sqrt(0.65 * 0.35 / len(posts)))
    wrong = [(post.taste, hint) for hint, post in zip(hints, posts, strict=True) if hint != post.taste]
    counts = np.unique([f"{taste}>{hint}" for taste, hint in wrong], return_counts=True)[1]
    assert len(counts) == 30
    chi_square = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    assert chi_square < 59  # 99.9th percentile for 29 degrees of freedom is 58.3


def test_truth_survives_a_parquet_file(tmp_path):
    posts = World(1).posts(50)
    truth_frame(posts).write_parquet(tmp_path / "truth.parquet")
    frame = pl.read_parquet(tmp_path / "truth.parquet")
    assert frame.columns == ["post_id", "topic", "item", "tone", "taste", "community"]
    assert posts_from_truth(frame, {post.post_id: post.text for post in posts}) == posts


def test_a_post_without_its_text_is_named():
    posts = World(1).posts(2)
    with pytest.raises(InputError, match=posts[1].post_id):
        posts_from_truth(truth_frame(posts), {posts[0].post_id: posts[0].text})


def test_no_posts_make_an_empty_frame():
    assert truth_frame([]).height == 0
    assert posts_from_truth(truth_frame([]), {}) == []
