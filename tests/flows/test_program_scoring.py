"""`score --suite`: completions are executed and every verdict is written; what cannot be used exits with 2."""

import json
import os

import polars as pl
import pytest
from click.testing import CliRunner

from flows.cli import main

PROBLEM = {
    "task_id": "T/0",
    "prompt": 'def add(a, b):\n    """Add."""\n',
    "entry_point": "add",
    "canonical_solution": "    return a + b\n",
    "test": "def check(candidate):\n    assert candidate(2, 3) == 5\n",
}
OTHER = PROBLEM | {"task_id": "T/1", "prompt": PROBLEM["prompt"].replace("Add.", "Sum.")}
RIGHT, WRONG, BROKEN = "    return a + b\n", "    return a * b\n", "    return (\n"


@pytest.fixture(autouse=True)
def own_environment():
    """What the commands set for MLflow and Prefect must not outlive the test."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def suite(tmp_path):
    return write(tmp_path / "mine.jsonl", [PROBLEM, OTHER])


@pytest.fixture
def completions(tmp_path):
    texts = {"T/0": (RIGHT, WRONG), "T/1": (BROKEN, WRONG)}
    rows = [{"task_id": task, "completion": text} for task, pair in texts.items() for text in pair]
    return write(tmp_path / "ours.jsonl", rows)


def score(*arguments):
    return CliRunner().invoke(main, ["score", *arguments])


def test_verdicts_are_written_and_scores_printed(suite, completions, tmp_path):
    out = tmp_path / "out"
    done = score(completions, "--suite-file", suite, "--check-suite", "--json", "--out", str(out))
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    values = {row["metric"]: row["value"] for row in printed["rows"]}
    assert (values["pass_at_1"], values["pass_at_2"]) == (0.25, 0.5)
    assert printed["executed"]["ours"]["verdict_failed"] == 2
    assert printed["suite"] == suite
    verdicts = pl.read_ndjson(out / "verdicts.jsonl")
    assert verdicts["verdict"].to_list() == ["passed", "failed", "syntax_error", "failed"]
    assert verdicts["completion"].to_list() == [RIGHT, WRONG, BROKEN, WRONG]
    assert (out / "table.json").exists()


def test_without_a_folder_the_verdicts_lie_beside_the_file(suite, completions, tmp_path):
    done = score(completions, "--suite", "file", "--suite-file", suite)
    assert done.exit_code == 0, done.output
    assert pl.read_ndjson(tmp_path / "ours.verdicts.jsonl").height == 4
    assert "pass_at_1" in done.stdout
    assert "every verdict in" in done.stdout


def test_what_cannot_be_used_is_refused(suite, completions, tmp_path):
    unknown = write(tmp_path / "unknown.jsonl", [{"task_id": "X/9", "completion": RIGHT}])
    twice = write(tmp_path / "twice.jsonl", [PROBLEM, PROBLEM])
    unsound = write(tmp_path / "unsound.jsonl", [PROBLEM | {"canonical_solution": WRONG}])
    cases = [
        (("--suite-file", suite, unknown), "task_id 'X/9' is not in mine"),
        (("--suite-file", twice, completions), "'task_id' is 'T/0', as at"),
        (("--suite-file", unsound, "--check-suite", completions), "the own solution of 1 of 1 problems fails"),
        (("--suite", "file", completions), "needs --suite-file"),
        (("--suite", "world", "--suite-file", suite, completions), "has no file"),
        (("--suite-file", suite, completions, completions), "two files have one name"),
        (("--suite-file", suite, str(tmp_path / "gone.jsonl")), "no such file"),
        (("--check-suite", completions), "go with --suite"),
    ]
    for arguments, message in cases:
        done = score(*arguments)
        assert (done.exit_code, message in done.stderr) == (2, True), (arguments, done.output)
