"""Answers become rows, whatever they are; the pool lives on."""

from pathlib import Path

import pytest

from polymlops.config.sandbox import SandboxLimits
from polymlops.config.suites import WorldSuiteConfig
from polymlops.data.suites import load_suite
from polymlops.errors import InputError
from polymlops.evaluation import sandbox
from polymlops.evaluation.program_runs import RUNS, Answer, execute, run_answers
from polymlops.evaluation.sandbox import Outcome, SandboxPool
from polymlops.tracking.fingerprint import reached_modules

SUITE = load_suite(WorldSuiteConfig(count=2))


class FailingPool:
    """A pool that cannot judge the first `failures` times; it stands for a machine in trouble."""

    def __init__(self, failures):
        self.failures, self.calls = failures, []

    def run(self, programs):
        self.calls.append(len(programs))
        verdict = "harness_error" if len(self.calls) <= self.failures else "passed"
        return [Outcome(verdict, "", 0.0, False) for _ in programs]


def test_a_huge_a_binary_and_an_empty_answer_are_outcomes():
    first = SUITE.problems[0]
    texts = ["x" * 10_000_000, "\x00\ufffd\x07", "", first.canonical_solution]
    answers = [Answer(first.task_id, k, text) for k, text in enumerate(texts)]
    with SandboxPool(SandboxLimits(workers=1)) as pool:
        rows = run_answers(answers, SUITE, pool)
        assert run_answers(answers[3:], SUITE, pool)["passed"].to_list() == [True]
    assert dict(rows.schema) == RUNS
    assert rows["passed"].to_list() == [False, False, False, True]
    assert rows["verdict"][0] == "syntax_error"
    assert all(rows["reason"][:3])


def test_an_unknown_task_is_refused_before_anything_runs():
    with pytest.raises(InputError, match="'Other/1' is no problem of embedded world"):
        run_answers([Answer("Other/1", 0, "")], SUITE, FailingPool(0))


@pytest.mark.parametrize(("failures", "passed", "calls"), [(1, True, [1, 1]), (2, None, [1, 1])])
def test_what_could_not_be_judged_is_tried_once_more(failures, passed, calls):
    pool = FailingPool(failures)
    answer = Answer(SUITE.problems[0].task_id, 0, SUITE.problems[0].canonical_solution)
    assert run_answers([answer], SUITE, pool)["passed"].to_list() == [passed]
    assert pool.calls == calls


def test_nothing_to_run_asks_nobody():
    pool = FailingPool(0)
    assert execute([], [], pool) == []
    assert pool.calls == []


def test_a_cached_score_depends_on_everything_that_judges():
    reached = reached_modules(["from polymlops.evaluation import coding"])
    judging = {f"polymlops.evaluation.{path.stem}" for path in Path(sandbox.__file__).parent.glob("sandbox*.py")}
    assert judging <= reached
