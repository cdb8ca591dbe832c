"""Ratings from a CSV: what is joined to what, and what each bad file is told."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polymlops.errors import InputError
from polymlops.evaluation.human_ratings import join_ratings

FRAME = pl.DataFrame(
    [("baseline", 42, prompt, i) for prompt in ("p", "q, r") for i in range(2)],
    {"arm": pl.String, "seed": pl.Int64, "prompt_id": pl.String, "sample_id": pl.Int64},
    orient="row",
)


def join(tmp_path, text):
    path = tmp_path / "ratings.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return join_ratings(FRAME, path)


def test_several_people_are_averaged_and_empty_cells_are_no_rating(tmp_path):
    text = 'prompt_id,sample_id,rater,fun,taste\np,0,ann,4,\np,0,bob,1,3\n"q, r",1,ann,,2\n'
    joined = join(tmp_path, text)
    assert joined["human_fun"].to_list() == [2.5, None, None, None]
    assert joined["human_taste"].to_list() == [3.0, None, None, 2.0]


def test_rows_of_other_sample_sets_are_passed_over(tmp_path):
    text = "arm,seed,prompt_id,sample_id,fun\nbaseline,42,p,0,4\npolychromic,42,p,0,1\nbaseline,7,p,0,2\n"
    assert join(tmp_path, text)["human_fun"].to_list() == [4.0, None, None, None]


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=4, max_size=4))
def test_what_was_written_is_read(tmp_path_factory, values):
    keys = [("p", 0), ("p", 1), ('"q, r"', 0), ('"q, r"', 1)]
    lines = [f"{p},{i},{'' if v is None else repr(v)}" for (p, i), v in zip(keys, values, strict=True)]
    folder = tmp_path_factory.mktemp("ratings")
    assert join(folder, "\n".join(["prompt_id,sample_id,fun", *lines]))["human_fun"].to_list() == values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prompt_id,fun\np,4\n", ":1: columns prompt_id, fun: needs prompt_id, sample_id"),
        ("prompt_id,sample_id\np,0\n", "and a column a rating"),
        ("prompt_id,sample_id,fun\np,0,much\n", ":2: 'fun' is 'much': write a number"),
        ("prompt_id,sample_id,fun\np,0,nan\n", ":2: 'fun' is 'nan'"),
        ("prompt_id,sample_id,fun\np,0,1\np,9,1\n", ":3: no sample 9 of prompt 'p'"),
        ("prompt_id,sample_id,fun\np,0,1\np,0,2\n", ":3: sample 0 of prompt 'p' is rated twice, first at"),
        ("prompt_id,sample_id,rater,fun\np,0,ann,1\np,0,ann,2\n", "is rated twice by 'ann'"),
        ("prompt_id,sample_id,fun\np,0\n", ":2: more or fewer cells than columns"),
        ("prompt_id,sample_id,fun\np,0,1,2\n", ":2: more or fewer cells than columns"),
        ('prompt_id,sample_id,fun\np,0,"1\n', "not CSV"),
        (b"prompt_id,sample_id,fun\np,0,\xff\n", ":2: not UTF-8"),
        ("", "needs prompt_id"),
    ],
)
def test_a_bad_file_is_named_with_its_line_and_remedy(tmp_path, text, expected):
    with pytest.raises(InputError) as caught:
        join(tmp_path, text)
    assert expected in str(caught.value)
    with pytest.raises(InputError, match="no such file"):
        join_ratings(FRAME, tmp_path / "none.csv")
