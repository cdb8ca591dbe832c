"""`code_eval`'s interface over the sandbox, and problems of a suite as programs: executed for real."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from polymlops.config.sandbox import SandboxLimits
from polymlops.config.suites import HumanEvalConfig, MbppConfig
from polymlops.data.suite_problems import Problem, Suite
from polymlops.data.suites import check_suite, load_suite, world_problems
from polymlops.errors import MetricError
from polymlops.evaluation.code_eval import compute, pass_at, run_tests, sandbox_limits
from polymlops.evaluation.completions import extract
from polymlops.evaluation.problem_programs import run_extractions, solution_runner
from polymlops.evaluation.sandbox import Outcome
from polymlops.metrics.pass_at_k import pass_at_k_curve

ADD, MULTIPLY = "def add(a, b):\n    return a + b\n", "def add(a, b):\n    return a * b\n"
TEST = "assert add(2, 3) == 5"
CHECK = "def check(candidate):\n    assert candidate(2, 3) == 5\n\ncheck(add)\n"
CHEATS = [
    "import os\nos._exit(0)\n",
    "raise SystemExit(0)\n",
    "class Same:\n    def __eq__(self, other):\n        return True\n\ndef add(a, b):\n    return Same()\n",
    "import builtins\nbuiltins.all = lambda x: True\nprint('passed')\n",
]


def test_programs_are_judged_as_code_eval_says():
    references, predictions = [TEST, CHECK], [[MULTIPLY, ADD], [ADD, ADD]]
    curve, results = compute(references=references, predictions=predictions, k=[1, 2, 3], num_workers=1)
    assert curve["pass@1"] == 0.75
    assert curve["pass@2"] == 1.0
    assert math.isnan(curve["pass@3"])
    assert sorted(results) == [0, 1]
    assert results[1][1] == (1, {"task_id": 1, "passed": True, "result": "passed", "completion_id": 1})
    assert [row["passed"] for _, row in results[0]] == [False, True]
    assert results[0][0][1]["result"].startswith("failed: AssertionError")


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_program_cannot_say_that_it_passed(cheat):
    curve, results = compute([TEST], [[cheat, ADD]], [1], num_workers=1)
    assert curve == {"pass@1": 0.5}
    assert [row["passed"] for _, row in results[0]] == [False, True]


def test_whatever_a_program_is_it_has_a_result():
    programs = ["", "def add(", "\x00\ud800", bytes(range(256)).decode("latin-1"), "x = '" + "a" * 10_000_000 + "'"]
    loop = "def add(a, b):\n    while True:\n        pass\n"
    _, results = compute([TEST], [[*programs, loop, ADD]], [1], num_workers=1, timeout=0.5)
    said = [row["result"] for _, row in results[0]]
    assert said[-2:] == ["timed out", "passed"]
    assert all(result.startswith("failed: ") for result in said[:-2])
    assert "syntax error" in said[1]


def test_run_tests_is_what_the_pass_at_k_module_takes():
    assert run_tests([ADD, MULTIPLY], [TEST, TEST], num_workers=1, timeout=2.0) == [True, False]
    assert run_tests([], []) == []


def test_what_the_harness_could_not_judge_is_no_sample_and_no_failure():
    passed, failed, unknown = (Outcome(verdict, "", 0.0, False) for verdict in ("passed", "failed", "harness_error"))
    curve = pass_at([[passed, failed, unknown], [failed, failed]], [1, 2, 3])
    expected = pass_at_k_curve([2, 2], [1, 0], [1, 2, 3])
    assert curve == pytest.approx({f"pass@{k}": value for k, value in expected.items()}, nan_ok=True)
    assert math.isnan(pass_at([[unknown]], [1])["pass@1"])


@pytest.mark.parametrize(
    ("references", "predictions", "message"),
    [
        ([TEST], [], "0 predictions for 1 references"),
        ([TEST], [ADD], "give a list of programs"),
        ([TEST], [[1]], "give a list of programs"),
        ([None], [[ADD]], "give the tests' code"),
        ([], [], "at least one prompt"),
    ],
)
def test_columns_of_another_shape_are_refused(references, predictions, message):
    with pytest.raises(MetricError, match=message):
        compute(references, predictions)


def test_limits_are_in_the_words_of_code_eval():
    limits = sandbox_limits(3, 20.0)
    assert (limits.workers, limits.cpu_seconds, limits.wall_seconds) == (3, 20.0, 200.0)
    for workers, timeout in ((0, 1.0), (1, 0.0), (1, float("nan")), (10_000, 1.0)):
        with pytest.raises(MetricError, match="must be"):
            sandbox_limits(workers, timeout)


ONE = SandboxLimits(workers=1)


def test_solutions_of_the_world_pass_and_a_wrong_one_is_reported():
    problems = world_problems(0, 8, "validation")
    broken = Problem(
        "X/0", "", problems[0].prefix, problems[0].entry_point, problems[0].tests, "", "    return []\n", "X"
    )
    nodes = Problem(
        *("M/0", "Count.", "", "count", "assert count(root) == 1\nassert count(Node()) == 1", "root = Node()"),
        *("class Node:\n    n = 1\n\ndef count(node):\n    return node.n\n", "M/0"),
    )
    faults = check_suite(Suite("mixed", "here", (*problems, broken, nodes)), solution_runner(ONE))
    assert [fault.task_id for fault in faults] == ["X/0"]
    assert faults[0].reason.startswith("failed (")


@pytest.mark.parametrize("name", ["check", "sum", "add"])
def test_programs_may_be_called_as_a_builtin_or_as_what_humaneval_calls_its_tests(name):
    right, wrong = (f"def {name}(a, b):\n    return a {sign} b\n" for sign in "-+")
    problem = Problem("M/1", "Subtract.", "", name, f"assert {name}(10, 15) == -5", "", right, "M/1")
    extractions = [extract(problem, text) for text in (right, wrong, "def other():\n    return 1\n")]
    verdicts = [outcome.verdict for outcome in run_extractions([problem] * 3, extractions, ONE)]
    assert verdicts == ["passed", "failed", "failed"]


def test_what_could_not_be_read_is_a_syntax_error_and_the_rest_is_executed():
    problem = world_problems(0, 1, "test")[0]
    texts = ["I cannot.", problem.canonical_solution, "    return None\n", "x" * 10_000_000]
    extractions = [extract(problem, text) for text in texts]
    outcomes = run_extractions([problem] * 4, extractions, ONE)
    assert [outcome.verdict for outcome in outcomes] == ["syntax_error", "passed", "failed", "syntax_error"]
    assert outcomes[0].reason == extractions[0].fault
    assert run_extractions([problem], extractions[:1], ONE)[0].verdict == "syntax_error"


@pytest.mark.slow
@pytest.mark.skipif(
    "POLYMLOPS_DATA" not in os.environ, reason="POLYMLOPS_DATA does not name the folder of the real suites"
)
def test_the_real_suites_are_sound():
    folder = Path(os.environ["POLYMLOPS_DATA"])
    for config in (
        HumanEvalConfig(path=folder / "HumanEval.jsonl.gz"),
        MbppConfig(path=folder / "mbpp.jsonl", split="all"),
        MbppConfig(path=folder / "sanitized-mbpp.json", variant="sanitized", split="all"),
    ):
        assert check_suite(load_suite(config), solution_runner()) == []
