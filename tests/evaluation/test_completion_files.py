"""Files of completions: samples are numbered, and what cannot be used is named with line and remedy."""

from __future__ import annotations

import gzip
import json

import pytest

from polymlops.data.suite_problems import Problem, Suite
from polymlops.errors import InputError
from polymlops.evaluation.completion_files import read_completions


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


SUITE = Suite("tiny", "tiny.jsonl", (Problem("H/0", "", "def f():\n", "f", "", "", "    return 1\n", "H/0"),))
ROW = {"task_id": "H/0", "completion": "x"}


def test_files_of_completions_number_the_samples_of_a_task(tmp_path):
    rows = [ROW, {"task_id": "H/1", "completion": ""}, ROW | {"completion": "y", "other": 1}]
    path = write(tmp_path / "a.jsonl", rows)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(path.read_bytes()))
    found = read_completions(path)
    assert [(row.task_id, row.sample_id, row.text) for row in found] == [
        ("H/0", 0, "x"),
        ("H/1", 0, ""),
        ("H/0", 1, "y"),
    ]
    assert read_completions(tmp_path / "a.jsonl.gz") == found
    big = write(tmp_path / "big.jsonl", [ROW | {"completion": "x" * 10_000_000}])
    assert len(read_completions(big, SUITE)[0].text) == 10_000_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no completion in it: write one object a line"),
        (
            b'{"task_id": "H/0", "completion": "x"}\n{"task_id": "H/9", "completion": "x"}',
            ":2: task_id 'H/9' is not in tiny",
        ),
        (b'{"completion": "x"}', ":1: neither prompt_id nor task_id"),
        (b'{"task_id": "H/0"}', ":1: neither text nor completion"),
        (b'{"task_id": "H/0", "completion": 3}', ":1: completion is 3, a number: write a string"),
        (b'{"task_id": "", "completion": "x"}', ":1: task_id is empty"),
        (b'{"task_id": "H/0", "completion": "\\ud800"}', "lone surrogate"),
        (b'{"task_id": ', ":1: not JSON"),
        (b"[]", ":1: a JSON list"),
        (bytes(range(128, 256)) * 4, ":1: not UTF-8"),
    ],
)
def test_files_that_cannot_be_used_are_named_with_line_and_remedy(tmp_path, content, message):
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_completions(path, SUITE)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
