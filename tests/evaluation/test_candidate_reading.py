"""Anyone's files: what is read, and every way in which one can be wrong, with file, line and remedy."""

import gzip
import json

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polymlops.errors import InputError
from polymlops.evaluation.candidates import MAX_FAULTS, read_candidates

ROW = {"prompt_id": "p", "text": "a b"}


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def fault(path, **options):
    with pytest.raises(InputError) as caught:
        read_candidates([path], **options)
    return str(caught.value).replace(f"{path.parent}/", "")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAME = TEXT.filter(lambda text: text.strip())
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
COLUMNS = {"passed": st.booleans(), "quality": NUMBER, "selector_a": NUMBER, "selector_b": st.integers(-(2**40), 2**40)}


@st.composite
def tables(draw):
    """Rows of one file with a random choice of columns, in any order."""
    columns = {
        "task_id" if draw(st.booleans()) else "prompt_id": NAME,
        "completion" if draw(st.booleans()) else "text": TEXT,
    }
    columns |= {name: values for name, values in COLUMNS.items() if draw(st.booleans())}
    if draw(st.booleans()):
        columns |= {"arm": st.sampled_from(["x", "y"]), "seed": st.integers(-3, 3)}
    return draw(st.lists(st.fixed_dictionaries(columns), min_size=1, max_size=8))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=tables())
def test_json_lines_gzip_and_parquet_read_the_same(tmp_path, rows):
    plain = write(tmp_path / "same.jsonl", rows)
    (tmp_path / "same.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
    pl.DataFrame(rows).write_parquet(tmp_path / "same.parquet")
    expected, *others = [read_candidates([tmp_path / f"same{end}"]) for end in (".jsonl", ".jsonl.gz", ".parquet")]
    assert sorted(expected.frame["text"]) == sorted(row.get("text", row.get("completion")) for row in rows)
    for found in others:
        assert found.frame.equals(expected.frame)
        assert found.arms == expected.arms


def test_what_a_file_does_not_name_is_filled_in(tmp_path):
    rows = [{"task_id": 7, "completion": text, "result": "ok"} for text in ("x", "y", "z")]
    found = read_candidates([write(tmp_path / "gpt.v2.jsonl", rows)])
    assert found.arms == ("gpt.v2",)
    assert found.ignored == ("result",)
    key = found.frame.select("seed", "prompt_id", "sample_id", "text").rows()
    assert key == [(0, "7", "0", "x"), (0, "7", "1", "y"), (0, "7", "2", "z")]
    assert found.frame["passed"].null_count() == 3


def test_a_mark_of_byte_order_blank_lines_and_null_columns_are_no_faults(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(ROW | {"quality": None}).encode() + b"\n\n  \n")
    assert read_candidates([path]).frame["quality"].to_list() == [None]


def test_arms_keep_the_order_of_the_files(tmp_path):
    files = [write(tmp_path / f"{name}.jsonl", [ROW]) for name in ("zeta", "alpha")]
    assert read_candidates(files).arms == ("zeta", "alpha")


WRONG_ROWS = {
    "both ids": ({"task_id": "p"}, "both prompt_id and task_id: keep one of them"),
    "both texts": ({"completion": "c"}, "both text and completion: keep one of them"),
    "empty id": ({"prompt_id": " "}, "prompt_id is empty: write a name"),
    "id of another type": ({"prompt_id": ["p"]}, "prompt_id is ['p'], a list: write a string"),
    "null id": ({"prompt_id": None}, "neither prompt_id nor task_id: every candidate needs one"),
    "text of another type": ({"text": 3}, "text is 3, a number: write a string"),
    "half a character": ({"text": "a\ud800"}, "text has half a character (a lone surrogate) at 1: replace it"),
    "boolean as string": ({"passed": "true"}, 'passed is "true", a string: write true or false, without quotes'),
    "boolean as number": ({"passed": 1}, "passed is 1, a number: write true or false, without quotes"),
    "nan quality": ({"quality": float("nan")}, "quality is nan: score the candidate, or leave the column out"),
    "infinite selector": ({"selector_a": float("-inf")}, "selector_a is -inf: score the candidate"),
    "huge quality": ({"quality": 10**400}, "quality is inf: score the candidate"),
    "quality as string": ({"quality": "0.5"}, 'quality is "0.5", a string: write a number, without quotes'),
    "quality as boolean": ({"quality": True}, "quality is true, a boolean: write a number, without quotes"),
    "fractional seed": ({"seed": 1.5}, "seed is 1.5, a number: write a whole number"),
    "arm of two lines": ({"arm": "a\nb"}, 'arm is "a\\nb", a string: it has a line break'),
    "arm of a page": ({"arm": "x" * 10_000}, f'arm is "{"x" * 39}..., a string: 10000 characters; write at most 100'),
    "arm as a formula": ({"arm": "=1+1"}, 'arm is "=1+1", a string: a spreadsheet would take it for a formula'),
    "arm of another type": ({"arm": 3}, "arm is 3: write a string"),
}
NOT_IN_PARQUET = {"half a character", "huge quality"}


@pytest.mark.parametrize(("change", "message"), WRONG_ROWS.values(), ids=WRONG_ROWS)
def test_a_wrong_value_is_named_with_its_line(tmp_path, change, message):
    said = fault(write(tmp_path / "bad.jsonl", [ROW, ROW | change, ROW]))
    assert said.startswith(f"bad.jsonl:2: {message.removesuffix(': write a string')}")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("kind", sorted(WRONG_ROWS.keys() - NOT_IN_PARQUET - {"null id"}))
def test_a_wrong_value_in_parquet_is_named_with_its_row(tmp_path, kind):
    change, message = WRONG_ROWS[kind]
    path = tmp_path / "bad.parquet"
    pl.DataFrame([ROW | change]).write_parquet(path)
    said = fault(path)
    assert said.startswith("bad.parquet: row 1: ")
    assert message.split()[0] in said
    assert len(said.splitlines()) == 1


WRONG_BYTES = {
    "not UTF-8": (
        b'{"prompt_id": "p", "text": "\xff"}\n',
        "bad.jsonl:1: not UTF-8 at byte 28 (0xff): save the file as",
    ),
    "not JSON": (b"prompt_id,text\n", "bad.jsonl:1: not JSON (Expecting value"),
    "cut line": (b'{"prompt_id": "p", "te', "bad.jsonl:1: not JSON ("),
    "an array": (b"[1]\n", "bad.jsonl:1: a JSON list: write one object a line"),
    "too deep": (b"[" * 100_000, "bad.jsonl:1: not JSON ("),
    "empty": (b"", "bad.jsonl: holds no candidate: write one a line"),
    "blank": (b"\n\n", "bad.jsonl: holds no candidate: write one a line"),
    "no prompt column": (b'{"id": 1, "text": "a"}\n' * 20, "bad.jsonl:1: no column prompt_id or task_id: add one"),
    "no text column": (b'{"task_id": "a"}\n' * 20, "bad.jsonl:1: no column text or completion: add one"),
}


@pytest.mark.parametrize(("content", "message"), WRONG_BYTES.values(), ids=WRONG_BYTES)
def test_a_file_that_is_no_json_lines_is_refused(tmp_path, content, message):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)
    said = fault(path)
    assert said.startswith(message)
    assert len(said.splitlines()) == 1


def test_a_truncated_gzip_is_refused_at_its_last_line(tmp_path):
    path = tmp_path / "bad.jsonl.gz"
    whole = gzip.compress("".join(json.dumps(ROW | {"sample_id": i}) + "\n" for i in range(5000)).encode())
    path.write_bytes(whole[: len(whole) // 2])
    said = fault(path)
    assert "the gzip stream ends early: copy or download the file again" in said
    assert 1 < int(said.split(":")[1]) < 5000


def test_what_is_called_gzip_and_is_not(tmp_path):
    path = tmp_path / "bad.jsonl.gz"
    path.write_text(json.dumps(ROW))
    assert fault(path).startswith("bad.jsonl.gz:1: not gzip (")


def test_what_is_called_parquet_and_is_not(tmp_path):
    path = tmp_path / "bad.parquet"
    path.write_text(json.dumps(ROW))
    assert fault(path).startswith("bad.parquet: not a parquet file that can be read (")
    pl.DataFrame({"prompt": ["p"], "text": ["t"]}).write_parquet(path)
    assert fault(path) == "bad.parquet: no column prompt_id or task_id: add one of them"
    pl.DataFrame(schema={"prompt_id": pl.String, "text": pl.String}).write_parquet(path)
    assert fault(path) == "bad.parquet: holds no candidate: write one a line"


def test_a_file_that_is_not_there(tmp_path):
    assert fault(tmp_path / "none.jsonl") == "none.jsonl: no such file"
    (tmp_path / "folder").mkdir()
    assert fault(tmp_path / "folder") == "folder: a folder; give the file in it"


@pytest.mark.parametrize("column", ["passed", "quality", "selector_a", "arm", "seed", "sample_id"])
def test_a_column_of_some_rows_only_is_refused(tmp_path, column):
    value = {"passed": True, "arm": "bad", "sample_id": "s"}.get(column, 1)
    said = fault(write(tmp_path / "bad.jsonl", [ROW | {column: value}, ROW, ROW]))
    assert said.startswith(f"bad.jsonl:2: {column} is missing here, and in 2 of the 3 rows of ")
    assert said.endswith("give it to all or to none")


def test_a_column_of_one_arm_only_is_allowed(tmp_path):
    rows = [ROW | {"arm": "x", "passed": True}, ROW | {"arm": "y"}]
    assert read_candidates([write(tmp_path / "a.jsonl", rows)]).frame["passed"].to_list() == [True, None]


def test_the_same_candidate_twice_is_refused_with_both_places(tmp_path):
    row = ROW | {"sample_id": 3}
    path = write(tmp_path / "bad.jsonl", [row, ROW | {"sample_id": 4}, ROW | {"sample_id": "3"}])
    assert fault(path) == (
        "bad.jsonl:3: arm bad, seed 0, prompt p, sample 3 is already at bad.jsonl:1: drop one, or number samples"
    )


def test_two_files_of_one_name_are_one_arm(tmp_path):
    (tmp_path / "b").mkdir()
    files = [write(folder / "a.jsonl", [ROW]) for folder in (tmp_path / "b", tmp_path)]
    with pytest.raises(InputError, match=r"sample 0 is already at .*b/a.jsonl:1"):
        read_candidates(files)


def test_faults_are_collected_one_line_each_and_ten_are_enough(tmp_path):
    few = fault(write(tmp_path / "few.jsonl", [ROW, ROW | {"passed": "no"}, ROW | {"quality": "x"}]))
    assert [line.split(": ")[0] for line in few.splitlines()] == ["few.jsonl:2", "few.jsonl:3"]
    many = fault(write(tmp_path / "many.jsonl", [ROW | {"passed": "no"}] * 50)).splitlines()
    assert len(many) == MAX_FAULTS + 1
    assert many[-1] == "stopped after 10 faults"


def test_faults_of_all_files_come_together(tmp_path):
    files = [write(tmp_path / f"{name}.jsonl", [ROW | {"quality": "x"}]) for name in ("a", "b")]
    with pytest.raises(InputError) as caught:
        read_candidates(files)
    assert [line.split("/")[-1].split(":")[0] for line in str(caught.value).splitlines()] == ["a.jsonl", "b.jsonl"]


@pytest.mark.parametrize("name", ["@sum", "two\nlines", "x" * 101])
def test_a_file_whose_name_cannot_be_an_arm_needs_arms(tmp_path, name):
    path = write(tmp_path / f"{name}.jsonl", [ROW])
    assert "names its candidates' arm" in fault(path)
    assert read_candidates([write(path, [ROW | {"arm": "named"}])]).arms == ("named",)


def test_markup_quotes_and_mathematics_are_names(tmp_path):
    arms = ("<script>alert(1)</script>", "'; DROP TABLE runs; --", '"q"', "$x_{", "[/bold]", "\\input{x}")
    assert read_candidates([write(tmp_path / "a.jsonl", [ROW | {"arm": arm} for arm in arms])]).arms == arms
