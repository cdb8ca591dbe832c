"""`evaluate`: a model from a folder is sampled, executed and scored; a second call says the same; faults exit 2."""

import json
import os

import polars as pl
import pytest
from click.testing import CliRunner

from flows.cli import main

SMALL = ("--domain", "code", "--n", "2", "--problems", "3", "--max-new-tokens", "12", "--resamples", "100")


@pytest.fixture(autouse=True)
def own_environment():
    """What the commands set must not outlive the test."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def evaluate(*arguments):
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])


@pytest.mark.slow
def test_a_model_is_evaluated_and_its_files_lie_in_the_folder(small_base, tmp_path):
    out = tmp_path / "out"
    done = evaluate("--model", small_base, *SMALL, "--k", "1,2", "--check-suite", "--json", "--out", out)
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert {row["metric"] for row in printed["table"]} >= {"pass_at_1", "pass_at_2", "ast_diversity"}
    assert "code_world/pass_at_1" in printed["metrics"]
    assert printed["notes"] == []
    assert pl.read_parquet(out / "scores" / "scores.parquet").height == 6
    assert pl.read_parquet(out / "samples" / "samples.parquet").height == 6
    assert not (out / "unfinished").exists()
    again = evaluate("--model", small_base, *SMALL, "--k", "1,2", "--json", "--out", out)
    assert json.loads(again.stdout)["table"] == printed["table"]


@pytest.mark.slow
def test_for_people_it_prints_a_table(small_base, tmp_path):
    done = evaluate("--model", small_base, *SMALL, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "pass_at_1" in done.stdout
    assert "suite: embedded world" in done.stdout


def test_what_cannot_be_done_is_refused(small_base, tmp_path):
    out = ("--out", tmp_path / "out")
    cases = [
        (("--model", "nowhere", *SMALL, *out), "--model nowhere: no such folder"),
        (("--model", small_base, *SMALL, *out, "--k", "5"), "--k 5 is above --n 2"),
        (("--model", small_base, *SMALL, *out, "--suite", "file"), "needs --suite-file"),
        (("--model", small_base, "--adapter", tmp_path, *SMALL, *out), "no adapter here"),
        (("--model", small_base, *SMALL, *out, "--max-new-tokens", "500"), "leaves no room"),
    ]
    for arguments, message in cases:
        done = evaluate(*arguments)
        assert (done.exit_code, message in done.stderr) == (2, True), (arguments, done.output)


def test_a_model_that_cannot_be_had_is_a_failure_with_its_name(tmp_path):
    done = evaluate("--model", "someone/nothing", *SMALL, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "--model someone/nothing: cannot be loaded" in done.stderr
