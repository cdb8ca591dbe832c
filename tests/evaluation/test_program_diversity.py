"""Tables of diversity: equal programs are one, names count only where they are kept, algorithms have labels."""

import polars as pl
import pytest

from polymlops.evaluation.program_diversity import problem_samples, program_diversity

LOOP = "def f(x):\n    total = 0\n    for item in x:\n        total += item\n    return total\n"
RENAMED = LOOP.replace("total", "found").replace("item", "number")
DIRECT = "def f(x):\n    return sum(x)\n"
BROKEN = "def f(x:\n"


def runs_of(**problems):
    rows = [(task, k, *pair) for task, pairs in problems.items() for k, pair in enumerate(pairs)]
    return pl.DataFrame(rows, schema=["prompt_id", "sample_id", "program", "passed"], orient="row")


def diversity_table(runs, threshold, workers=1):
    return program_diversity(runs, threshold, workers).table


def test_renaming_is_no_other_algorithm():
    sources = [(source, None) for source in (LOOP, RENAMED, DIRECT, BROKEN)]
    found = program_diversity(runs_of(q=sources[2:], p=sources), 0.3).algorithms
    assert found.select("prompt_id", "sample_id").rows() == [("q", 0), ("q", 1), ("p", 0), ("p", 1), ("p", 2), ("p", 3)]
    assert found["intent"].is_null().to_list() == [False, True, False, False, False, True]
    first, second, third = found["intent"].to_list()[2:5]
    assert first == second
    assert first != third


def test_the_two_readings_differ_by_the_names():
    row = diversity_table(runs_of(p=[(LOOP, True), (RENAMED, True)]), 0.3).row(0, named=True)
    assert row["ast_diversity"] == row["ast_diversity_passing"] == 0
    assert row["ast_diversity_kept"] == row["ast_diversity_kept_passing"] > 0
    assert (row["algorithms"], row["algorithms_passing"], row["unique_share"]) == (1, 1, 1)


def test_undefined_is_null_and_the_unjudged_do_not_pass():
    table = diversity_table(runs_of(p=[(LOOP, True), (DIRECT, None)], q=[(BROKEN, False), (BROKEN, False)]), 0.3)
    first, second = table.iter_rows(named=True)
    assert first["ast_diversity"] > 0
    assert first["ast_diversity_passing"] is None
    assert first["algorithms_passing"] is None, "there might have been two"
    assert second["ast_diversity"] is None
    assert (second["algorithms"], second["unique_share"]) == (0, 0.5)


def test_problems_keep_the_order_of_the_rows():
    problems = problem_samples(runs_of(q=[(LOOP, True)], p=[(DIRECT, None), (LOOP, False)]))
    assert [problem.task_id for problem in problems] == ["q", "p"]
    assert problems[1].passed == (False, False)


@pytest.mark.slow
def test_processes_give_what_one_process_gives(monkeypatch):
    runs = runs_of(p=[(LOOP, True), (DIRECT, True)], q=[(DIRECT, False), (RENAMED, True)])
    alone = diversity_table(runs, 0.3)
    monkeypatch.setattr("polymlops.evaluation.program_diversity.FEW_PAIRS", 0)
    assert diversity_table(runs, 0.3, workers=2).equals(alone)
