"""What the checks of the other tests would say of a store in which something is wrong."""

from __future__ import annotations

import io
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import polars as pl
import pytest
from books import different_files, faults, local_book
from short import NAME, TRAINING

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
OF_TRAINING = f"run_uuid in (select run_uuid from runs where name = '{TRAINING}')"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (f"update runs set status = 'RUNNING' where {OF_TRAINING}", f"{TRAINING}: not finished"),
        (f"update metrics set value = value + 1 where {OF_TRAINING}", f"{TRAINING}: another history of training"),
        (
            "insert into metrics select key, value, timestamp + 1, run_uuid, step, is_nan from metrics where "
            f"{OF_TRAINING} limit 1",
            "has 2 values at step",
        ),
        (
            f"update tags set value = (select value from tags where key = 'stage_key' and {OF_TRAINING}) "
            "where key = 'stage_key'; update runs set name = 'same'",
            "finished runs of one key",
        ),
    ],
)
def test_what_is_wrong_is_told(undisturbed, tmp_path, change, told):
    shutil.copy(undisturbed.artifacts.parent / "mlflow.db", tmp_path)
    book = replace(local_book(tmp_path, NAME), artifacts=undisturbed.artifacts)
    assert faults(book, undisturbed) == []
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        database.executescript(change)
    assert any(told in line for line in faults(book, undisturbed))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, []),
        ({"cpu_seconds": 0.25}, []),
        ({"passed": False}, ["score_programs a/0: scores.parquet differs"]),
        ({"sample_id": 1}, [f"score_programs a/0: scores.parquet {what}" for what in ("repeats rows", "differs")]),
    ],
)
def test_files_differ_where_more_than_the_clock_differs(changed, told):
    rows = [{"prompt_id": "p", "sample_id": i, "passed": True, "cpu_seconds": 0.5} for i in range(2)]
    other = [rows[0] | changed, rows[1]]
    assert (
        different_files("score_programs a/0", {"scores.parquet": _bytes(other)}, {"scores.parquet": _bytes(rows)})
        == told
    )


def _bytes(rows):
    file = io.BytesIO()
    pl.DataFrame(rows).write_parquet(file)
    return file.getvalue()
