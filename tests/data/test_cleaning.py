import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polymlops.data.cleaning import Drops, account, clean_interactions, comparable, normalise
from polymlops.errors import InputError

GOOD = {
    "post_id": "p1",
    "post": "a post about soup",
    "reply_id": "r1",
    "reply": "what a fine soup",
    "author": "ann",
    "likes": 3,
}
AWKWARD = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from("0123456789٣१９\x00\x07\u200b\ufeff\u00ad\t\n\u0301e "),
    )
)


def frame_of(*rows: dict) -> pl.DataFrame:
    return pl.DataFrame(list(rows), infer_schema_length=None)


def drops_of(**changes: object) -> dict[str, int]:
    return dict(clean_interactions(frame_of(GOOD | changes), 5, 40).drops.counts)


@given(AWKWARD)
def test_numbers_survive_unchanged(text):
    assert re.findall(r"\d+", normalise(text)) == re.findall(r"\d+", text)


@given(AWKWARD)
def test_normalising_twice_changes_nothing(text):
    once = normalise(text)
    assert normalise(once) == once
    assert comparable(once) == comparable(text)


@given(AWKWARD)
def test_no_control_character_and_no_run_of_white_space_is_left(text):
    clean = normalise(text)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]|\s\s", clean)
    assert clean == clean.strip()


def test_accents_are_composed_and_invisible_characters_leave_no_gap():
    assert normalise(" cafe\u0301\t\n so\u200bup ") == "caf\u00e9 soup"


def test_an_invisible_character_between_digits_does_not_join_numbers():
    assert normalise("1\x002") == "1 2"


def test_emoji_keep_their_joiner():
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert normalise(family) == family


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"reply": None}, "missing_field"),
        ({"author": "  "}, "missing_field"),
        ({"likes": None}, "missing_field"),
        ({"post_id": float("nan")}, "missing_field"),
        ({"likes": "many"}, "not_a_count"),
        ({"likes": "1_000"}, "not_a_count"),
        ({"likes": True}, "not_a_count"),
        ({"likes": 2.5}, "not_a_count"),
        ({"likes": float("inf")}, "not_a_count"),
        ({"likes": float("nan")}, "not_a_count"),
        ({"likes": -1}, "negative_likes"),
        ({"reply": " \x00\n"}, "empty"),
        ({"reply": "soup"}, "too_short"),
        ({"reply": "soup " * 9}, "too_long"),
        ({"reply": "A  post about SOUP"}, "echo_of_post"),
    ],
)
def test_a_bad_row_is_counted_under_its_reason(changes, reason):
    assert drops_of(**changes) == {reason: 1}


@pytest.mark.parametrize("likes", [0, 3, 3.0, "3", " 3 "])
def test_a_count_is_a_count_however_it_is_written(likes):
    rows = clean_interactions(frame_of(GOOD | {"likes": likes}), 5, 40).rows
    assert rows["likes"].to_list() == [int(float(likes))]
    assert rows["likes"].dtype == pl.Int64


def test_length_limits_include_both_ends():
    assert drops_of(reply="x" * 5) == {}
    assert drops_of(reply="x" * 40) == {}


def test_columns_that_are_not_needed_pass_through():
    result = clean_interactions(
        frame_of(GOOD | {"created": "2024-01-01"}, GOOD | {"created": None, "likes": -1}), 5, 40
    )
    assert result.rows["created"].to_list() == ["2024-01-01"]


def test_no_rows_stay_no_rows():
    empty = frame_of(GOOD).clear()
    result = clean_interactions(empty, 5, 40)
    assert len(result.rows) == 0
    assert result.drops.total == 0


def test_a_missing_column_is_named():
    with pytest.raises(InputError, match="author"):
        clean_interactions(frame_of(GOOD).drop("author"), 5, 40)


CELLS = st.one_of(
    st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=12), st.just("what a fine soup")
)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS, CELLS, st.one_of(st.none(), st.integers(-3, 9)))))
def test_every_row_is_kept_or_counted(cells):
    frame = pl.DataFrame(cells, schema=dict.fromkeys(list(GOOD)[:-1], pl.String) | {"likes": pl.Int64}, orient="row")
    result = clean_interactions(frame, 2, 10)
    assert len(result.rows) + result.drops.total == len(frame)
    assert set(result.drops.counts) == set(result.drops.examples)


def test_an_account_keeps_three_examples_and_adds_up():
    drops = account([("late", str(i)) for i in range(9)]) + account([("late", "x"), ("odd", "y")]) + Drops()
    assert drops.counts == {"late": 10, "odd": 1}
    assert drops.examples == {"late": ("0", "1", "2"), "odd": ("y",)}
    assert drops.total == 11
