"""Programming problems: every right solution passes, every wrong one fails, and no test problem is ever trained on."""

from __future__ import annotations

import ast

import numpy as np
import pytest

from polymlops.data.world_judge import program_passes
from polymlops.data.world_program_families import FAMILIES
from polymlops.data.world_programs import build_problem, program_documents, programs, split_parameters


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize("seed", range(4))
def test_right_solutions_pass_and_wrong_ones_fail(family, seed):
    rng = np.random.default_rng(seed)
    for parameter in family.parameters:
        problem = build_problem(family, parameter, rng)
        assert [body for body in problem.solutions if not program_passes(problem, body)] == []
        assert [body for body in problem.wrong if program_passes(problem, body)] == []


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_solutions_are_different_trees(family):
    problem = build_problem(family, family.parameters[0], np.random.default_rng(0))
    trees = {ast.dump(ast.parse(problem.prompt + body)) for body in problem.solutions}
    assert len(trees) == len(problem.solutions) >= 3
    assert all(body.count("\n") <= 6 for body in problem.solutions)


def test_problems_are_records_of_humaneval_that_plain_python_can_run():
    for problem in programs(0, "test"):
        names: dict[str, object] = {}
        exec(problem.prompt + problem.canonical_solution + "\n" + problem.test, names)
        names["check"](names[problem.entry_point])  # type: ignore[operator]
        assert problem.canonical_solution == problem.solutions[0]
        assert ">>> " in problem.prompt
        assert len(problem.prompt) < 160


def test_the_doctest_example_is_true():
    for problem in programs(3, "train"):
        call, answer = problem.prompt.split(">>> ")[1].split("\n")[:2]
        names: dict[str, object] = {}
        exec(problem.prompt + problem.canonical_solution, names)
        assert repr(eval(call, names)) == answer.strip()


def test_splits_are_disjoint_whatever_the_seed():
    train = {problem.task_id for seed in range(3) for problem in programs(seed, "train")}
    test = {problem.task_id for seed in range(3) for problem in programs(seed, "test")}
    assert not train & test
    assert (len(FAMILIES), len(train), len(test)) == (18, 126, 54)


def test_programs_come_by_seed():
    assert programs(1, "test") == programs(1, "test") != programs(2, "test")


def test_the_web_is_wrong_one_time_in_five_and_never_shows_a_test_problem():
    documents, rng = [], np.random.default_rng(1)
    stream = program_documents(rng)
    documents = [next(stream) for _ in range(2_000)]
    held = {
        (f"def {family.name}(", f'"""{family.summary.format(k=k)}\n')
        for family in FAMILIES
        for k in split_parameters(family, "test")
    }
    assert not [prompt for prompt, _ in documents if any(a in prompt and b in prompt for a, b in held)]
    wrong = {
        (f"def {family.name}(", "".join(f"    {line}\n" for line in body.format(k=k).split("\n")).rstrip("\n"))
        for family in FAMILIES
        for k in family.parameters
        for body in family.wrong
    }
    share = np.mean([(prompt[: prompt.index("(") + 1], body) in wrong for prompt, body in documents])
    assert share == pytest.approx(0.2, abs=0.04)
