from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from polymlops.config.schema import SplitConfig
from polymlops.data.cleaning import comparable
from polymlops.data.splits import SPLITS, Split, split_interactions

SHARES = SplitConfig()
SCHEMA = dict.fromkeys(["post_id", "post", "reply_id", "reply", "author"], pl.String) | {"likes": pl.Int64}


def frame_of(edges: list[tuple[int, int, int]], texts: int = 10**6) -> pl.DataFrame:
    """Interactions from (post, author, likes); posts whose numbers agree modulo `texts` have one text."""
    rows = [
        (
            f"p{post}",
            f"{'Post' if post >= texts else 'post'} {post % texts}",
            f"r{i}",
            f"reply {i}",
            f"a{author}",
            likes,
        )
        for i, (post, author, likes) in enumerate(edges)
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def communities(count: int, posts: int, replies: int, seed: int) -> pl.DataFrame:
    """Authors reply within their community only; engagement differs widely between posts."""
    rng = np.random.default_rng(seed)
    edges = [
        (c * posts + p, c * 5 + int(rng.integers(5)), int(rng.poisson(loved)))
        for c in range(count)
        for p, loved in enumerate(np.exp(rng.normal(2, 1.5, posts)))
        for _ in range(replies)
    ]
    return frame_of(edges)


def one_crowd(posts: int, authors: int, replies: int, seed: int) -> pl.DataFrame:
    """A giant component: everyone replies everywhere."""
    rng = np.random.default_rng(seed)
    loved = np.exp(rng.normal(2, 1, posts))
    return frame_of(
        [(p, int(rng.integers(authors)), int(rng.poisson(loved[p]))) for p in range(posts) for _ in range(replies)]
    )


def assert_sound(frame: pl.DataFrame, split: Split) -> None:
    texts = pl.Series("text", [comparable(post) for post in split.rows["post"]], dtype=pl.String)
    for column, values in (("post", split.rows["post_id"]), ("author", split.rows["author"]), ("text", texts)):
        places = Counter(value for value, _ in set(zip(values, split.rows["split"], strict=True)))
        assert set(places.values()) <= {1}, f"a {column} crosses"
    assert len(split.rows) + split.drops.total == len(frame)
    assert set(split.drops.counts) <= {"crossing_author"}
    assert set(split.rows["split"]) <= set(SPLITS)
    assert sum(split.posts_assigned.values()) == frame["post_id"].n_unique()


EDGES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 50)), min_size=1, max_size=80)


@given(EDGES, st.integers(1, 31), st.integers(0, 3))
def test_nothing_crosses_on_any_bipartite_graph(edges, texts, seed):
    frame = frame_of(edges, texts)
    assert_sound(frame, split_interactions(frame, SHARES, seed))


@settings(max_examples=25)
@given(st.integers(30, 80), st.integers(2, 60), st.integers(1, 6), st.integers(0, 5))
def test_nothing_crosses_in_a_giant_component(posts, authors, replies, seed):
    frame = one_crowd(posts, authors, replies, seed)
    assert_sound(frame, split_interactions(frame, SHARES, seed))


def test_small_components_move_whole_and_lose_nothing():
    frame = communities(count=60, posts=6, replies=4, seed=1)
    split = split_interactions(frame, SHARES, 42)
    assert_sound(frame, split)
    assert split.drops.total == 0


@pytest.mark.parametrize(
    "frame", [communities(60, 6, 4, 1), one_crowd(400, 300, 4, 2)], ids=["communities", "one crowd"]
)
def test_shares_of_posts_are_as_configured(frame):
    split = split_interactions(frame, SHARES, 42)
    total = sum(split.posts_assigned.values())
    found = {name: split.posts_assigned[name] / total for name in SPLITS}
    assert found == pytest.approx(SHARES.model_dump(), abs=0.01)


@pytest.mark.parametrize("authors", [20, 300, 2000])
def test_every_split_keeps_a_fair_part_of_a_giant_component(authors):
    split = split_interactions(one_crowd(500, authors, 5, 3), SHARES, 42)
    rows = Counter(split.rows["split"])
    assert set(rows) == set(SPLITS)
    # What an allocation without thought keeps of a split is its share; the least that may happen is half of that.
    for name, share in SHARES.model_dump().items():
        assert rows[name] > 0.5 * share * (share * 2500)


@pytest.mark.parametrize(
    "frame", [communities(80, 6, 4, 5), one_crowd(600, 900, 3, 5)], ids=["communities", "one crowd"]
)
def test_splits_are_stratified_by_engagement(frame):
    split = split_interactions(frame, SHARES, 42)
    posts = split.rows.group_by("post_id", "split").agg(pl.col("likes").log1p().mean())
    for name in SPLITS:
        inside = posts.filter(pl.col("split") == name)["likes"]
        distance = ks_2samp(inside, posts["likes"]).statistic
        # A random sample of this size exceeds 1.36 / sqrt(n) once in twenty; the strata keep well below.
        assert distance < 1.36 / np.sqrt(len(inside))


def test_single_posts_are_stratified_almost_exactly():
    frame = frame_of([(p, p, p) for p in range(1000)])
    split = split_interactions(frame, SHARES, 42)
    for name in SPLITS:
        inside = split.rows.filter(pl.col("split") == name)["likes"]
        assert ks_2samp(inside, frame["likes"]).statistic < 0.05


def test_the_order_of_rows_does_not_matter_and_the_seed_does():
    frame = one_crowd(120, 100, 3, 7)
    split = split_interactions(frame, SHARES, 1)
    shuffled = split_interactions(frame.sample(fraction=1, shuffle=True, seed=3), SHARES, 1)
    assert split.rows.equals(shuffled.rows)
    assert split.drops == shuffled.drops
    assert not split.rows.equals(split_interactions(frame, SHARES, 2).rows)
