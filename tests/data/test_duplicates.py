import itertools
import random

import polars as pl
import pytest

from polymlops.data.duplicates import drop_duplicates, jaccard, shingles

COLUMNS = ("post_id", "post", "reply_id", "reply", "author", "likes")


def frame_of(*rows: tuple) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=list(COLUMNS), orient="row")


def row(reply: str, likes: int, reply_id: str, post_id: str = "p") -> tuple:
    return (post_id, "a post", reply_id, reply, f"author of {reply_id}", likes)


def crowd(posts: int, replies: int, seed: int) -> pl.DataFrame:
    """Replies of 6-14 words, half of them an earlier reply to the post with one word changed or appended."""
    rng = random.Random(seed)
    words = [f"w{i}" for i in range(50)]
    rows = []
    for p, r in itertools.product(range(posts), range(replies)):
        if r and rng.random() < 0.5:
            text = rng.choice([old[3] for old in rows if old[0] == f"p{p}"]).split()
            text[rng.randrange(len(text))] = rng.choice(words)
            text += rng.sample(words, rng.randrange(2))
        else:
            text = rng.choices(words, k=rng.randint(6, 14))
        rows.append(row(" ".join(text), rng.randrange(5), f"p{p}-r{r}", f"p{p}"))
    return frame_of(*rows)


def kept_by_brute_force(frame: pl.DataFrame, similarity: float) -> set[str]:
    kept: list[dict] = []
    for candidate in frame.sort("likes", "reply_id", descending=[True, False]).iter_rows(named=True):
        rivals = [old for old in kept if old["post_id"] == candidate["post_id"]]
        if all(jaccard(shingles(candidate["reply"]), shingles(old["reply"])) < similarity for old in rivals):
            kept.append(candidate)
    return {old["reply_id"] for old in kept}


@pytest.mark.parametrize("similarity", [0.2, 0.5, 0.7, 0.9, 1.0])
def test_equals_brute_force_jaccard(similarity):
    frame = crowd(posts=20, replies=25, seed=3)
    result = drop_duplicates(frame, similarity)
    assert set(result.rows["reply_id"]) == kept_by_brute_force(frame, similarity)
    assert len(result.rows) + result.drops.total == len(frame)
    assert result.drops.total > 0


def test_of_equal_replies_the_most_liked_is_kept():
    frame = frame_of(
        row("Nice soup you have", 2, "a"), row("nice  soup you HAVE", 9, "b"), row("nice soup you have", 9, "c")
    )
    result = drop_duplicates(frame, 0.9)
    assert result.rows["reply_id"].to_list() == ["b"]
    assert result.drops.counts == {"duplicate_reply": 2}


def test_the_same_reply_to_another_post_stays():
    assert len(drop_duplicates(frame_of(row("nice soup", 1, "a"), row("nice soup", 1, "b", "q")), 0.9).rows) == 2


def test_a_repeated_reply_id_is_dropped():
    result = drop_duplicates(frame_of(row("nice soup", 1, "a"), row("quite another thing", 5, "a", "q")), 0.9)
    assert result.rows["likes"].to_list() == [5]
    assert result.drops.counts == {"duplicate_reply_id": 1}


def test_the_order_of_rows_does_not_matter():
    frame = crowd(posts=5, replies=20, seed=4)
    first, second = drop_duplicates(frame, 0.6), drop_duplicates(frame.sample(fraction=1, shuffle=True, seed=1), 0.6)
    assert first.rows.equals(second.rows)
    assert first.drops == second.drops


def test_short_texts_are_one_shingle():
    assert shingles("Hi  there") == {"hi there"}
    assert shingles("one two three four") == {"one two three", "two three four"}


def test_no_rows_stay_no_rows():
    empty = crowd(posts=1, replies=2, seed=0).clear()
    assert len(drop_duplicates(empty, 0.9).rows) == 0
