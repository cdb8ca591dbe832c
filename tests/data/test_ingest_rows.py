import csv
import gzip
import io
import json
import tracemalloc

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polymlops.data.ingest_lines import LARGEST_ROW, decode
from polymlops.data.ingest_rows import read_rows
from polymlops.errors import InputError

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=30)
UNTIMED = settings(deadline=None)
ON_A_FILE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


def rows_of(path, data):
    path.write_bytes(data)
    return list(read_rows(path))


def cells_of(rows):
    assert [row.fault for row in rows] == [""] * len(rows)
    return [dict(row.cells) for row in rows]


@ON_A_FILE
@given(
    st.lists(st.dictionaries(TEXT, st.one_of(TEXT, st.integers(-(2**53), 2**53), st.none()), max_size=4), max_size=6)
)
def test_json_lines_are_read_as_they_were_written(tmp_path, objects):
    data = "".join(json.dumps(item, ensure_ascii=False) + "\r\n" for item in objects)
    assert cells_of(rows_of(tmp_path / "a.jsonl", data.encode())) == objects


@ON_A_FILE
@given(
    st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=6),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n"]),
)
def test_csv_is_read_as_it_was_written(tmp_path, records, delimiter, end):
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("one", "two", "three"), *records])
    found = cells_of(rows_of(tmp_path / "a.csv", buffer.getvalue().encode()))
    # Line ends inside a cell become one kind, at most one of them is lost with the line's own.
    plain = [tuple(cell.replace("\r", "").replace("\n", "") or None for cell in record) for record in records]
    flat = [
        tuple((cell and cell.replace("\r", "").replace("\n", "")) or None for cell in row.values()) for row in found
    ]
    assert flat == plain


@ON_A_FILE
@given(st.binary(max_size=400), st.sampled_from(["a.jsonl", "a.csv", "a.tsv"]))
def test_no_bytes_stop_the_reader(tmp_path, data, name):
    try:
        rows = rows_of(tmp_path / name, data)
    except InputError:
        return
    assert all((row.cells is None) == bool(row.fault) for row in rows)


@UNTIMED
@given(st.binary())
def test_any_bytes_are_text(data):
    assert bool(decode(data).encode("utf-8")) == bool(data)


def test_encodings_may_be_mixed(tmp_path):
    lines = [
        '{"a": "é ’ 日"}'.encode(),
        '{"a": "é"}'.encode("latin-1"),
        '{"a": "’"}'.encode("cp1252"),
        b'{"a": "\x81"}',
    ]
    rows = cells_of(rows_of(tmp_path / "a.jsonl", b"\n".join(lines)))
    assert [row["a"] for row in rows] == ["é ’ 日", "é", "’", "\x81"]


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    assert cells_of(rows_of(tmp_path / "a.csv", "\ufeffa,b\r\n1,2\r\n".encode())) == [{"a": "1", "b": "2"}]
    assert cells_of(rows_of(tmp_path / "a.jsonl", '\ufeff{"a": 1}'.encode())) == [{"a": 1}]
    with pytest.raises(InputError, match="UTF-16"):
        rows_of(tmp_path / "b.csv", "a,b\n1,2\n".encode("utf-16"))


def test_a_broken_last_line_is_one_fault(tmp_path):
    rows = rows_of(tmp_path / "a.jsonl", b'{"a": 1}\n{"a": NaN}\n[3]\n\n{"a": 2, "b": "ne')
    assert [row.fault for row in rows] == ["", "", "not_an_object", "broken_json"]
    assert rows[-1].place == 5
    assert rows[-1].beginning == '{"a": 2, "b": "ne'


def test_ragged_records_are_faults_and_the_next_is_read(tmp_path):
    rows = rows_of(tmp_path / "a.csv", b"a,b\n1,2\n3\n4,5,6\n\n7,8\r9,10\n11,12\n")
    assert [row.fault for row in rows] == ["", "ragged", "ragged", "broken_csv", ""]
    assert [row.place for row in rows] == [2, 3, 4, 6, 7]


@pytest.mark.parametrize("inside", [b"x" * 1000, b"x" * 999 + b"\n", b"1," + b"2" * 997 + b"\n"])
def test_a_huge_cell_costs_its_own_row_and_no_memory(tmp_path, inside):
    cell = inside * 50_000
    path = tmp_path / "a.csv"
    path.write_bytes(b'a,b\n1,2\n3,"' + cell + b'"\n5,6\n')
    del cell
    tracemalloc.start()
    rows = list(read_rows(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [row.fault for row in rows] == ["", "huge_row", ""]
    assert rows[2].cells == {"a": "5", "b": "6"}
    assert peak < 20 * LARGEST_ROW


def test_a_huge_json_line_costs_its_own_row(tmp_path):
    rows = rows_of(tmp_path / "a.jsonl", b'{"a": "' + b"x" * 50_000_000 + b'"}\n{"a": 1}\n')
    assert [row.fault for row in rows] == ["huge_row", ""]


def test_gzip_and_parquet_hold_the_same_rows(tmp_path):
    frame = pl.DataFrame({"a": ["x", None], "b": [1, 2]})
    frame.write_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(frame.write_ndjson().encode()))
    assert cells_of(list(read_rows(tmp_path / "a.parquet"))) == cells_of(list(read_rows(tmp_path / "a.jsonl.gz")))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 5000, mtime=0)[:60], "cannot be read after line"),
        ("a.jsonl.gz", b"no gzip", "cannot be read after line 0"),
        ("a.parquet", b"PAR1 no parquet", "no Parquet after row 0"),
        ("a.json", b'[{"a": 1}]', "one object a line"),
        ("a.csv", b"a,a\n1,2\n", "two columns have one name"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path, name, data, message):
    with pytest.raises(InputError, match=message):
        rows_of(tmp_path / name, data)
