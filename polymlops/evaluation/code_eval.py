"""The interface of `evaluate`'s `code_eval`, executed in the sandbox: nothing has to be allowed before it may be used.

As there: `predictions` are lists of programs, `references` the tests of each list, and the result is pass@k and every
sample's verdict. Otherwise than there: a program never sees its tests (`code_eval` runs both in one process); `timeout`
is processor time, so that a loaded machine fails no right answer; what the harness could not judge is left out of
pass@k, and named, instead of failing; and a k above the number of samples is NaN instead of missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from polymlops.config.sandbox import SandboxLimits
from polymlops.errors import MetricError, StageError
from polymlops.evaluation.sandbox import Outcome, Program, run_programs
from polymlops.metrics.pass_at_k import pass_at_k_curve

Results = dict[int, list[tuple[int, dict[str, Any]]]]
MOST_WORKERS, LONGEST = 256, 3600.0
WALL_FACTOR = 10  # clock seconds a second of processor time, on a machine that does much else


def compute(
    references: Sequence[str],
    predictions: Sequence[Sequence[str]],
    k: Sequence[int] = (1, 10, 100),
    num_workers: int = 4,
    timeout: float = 3.0,
) -> tuple[dict[str, float], Results]:
    """Pass@k of programs, and what became of each.

    Args:
        references: for each problem the code that tests its programs, by the names that they define.
        predictions: for each problem its candidate programs.
        k: numbers of candidates.
        num_workers: programs that run at once.
        timeout: processor seconds of a program, and as many again for its tests.

    Returns:
        `pass@k` for each k, the mean over problems; NaN where a problem has fewer than k judged candidates.
        By the problem's index a list of (completion_id, {task_id, passed, result, completion_id}); `passed` is None
        where the harness failed.

    Raises:
        MetricError: columns of other lengths or kinds, or a limit out of range.
    """
    check_columns(references, predictions)
    tests = [test for row, test in zip(predictions, references, strict=True) for _ in row]
    programs = [
        Program(source, test) for source, test in zip((p for row in predictions for p in row), tests, strict=True)
    ]
    outcomes = iter(run_programs(programs, sandbox_limits(num_workers, timeout)) if programs else [])
    rows = [[next(outcomes) for _ in row] for row in predictions]
    return pass_at(rows, k), _results(rows)


def run_tests(
    candidates: Sequence[str], tests: Sequence[str], num_workers: int = 4, timeout: float = 3.0
) -> list[bool]:
    """Whether each candidate passes its tests, in order: what the `pass_at_k` module takes as `run_tests`.

    Raises:
        MetricError: other lengths, or a limit out of range.
        StageError: the harness could not judge a program; a boolean could not say so.
    """
    check_columns(tests, [[candidate] for candidate in candidates])
    programs = [Program(source, test) for source, test in zip(candidates, tests, strict=True)]
    outcomes = run_programs(programs, sandbox_limits(num_workers, timeout)) if programs else []
    unjudged = [outcome.reason for outcome in outcomes if outcome.verdict == "harness_error"]
    if unjudged:
        raise StageError(
            f"the sandbox could not judge {len(unjudged)} of {len(programs)} programs ({unjudged[0]}): run again"
        )
    return [outcome.verdict == "passed" for outcome in outcomes]


def pass_at(rows: Sequence[Sequence[Outcome]], k: Sequence[int]) -> dict[str, float]:
    """`pass@k` from outcomes; what the harness could not judge counts neither as a sample nor as a failure.

    Raises: MetricError where there is no problem, or a k is below 1.
    """
    judged = [[outcome for outcome in row if outcome.verdict != "harness_error"] for row in rows]
    passed = [sum(outcome.verdict == "passed" for outcome in row) for row in judged]
    return {f"pass@{size}": value for size, value in pass_at_k_curve([len(row) for row in judged], passed, k).items()}


def sandbox_limits(num_workers: int, timeout: float) -> SandboxLimits:
    """The sandbox's limits in `code_eval`'s words.

    Raises: MetricError for a number out of range.
    """
    if not 1 <= num_workers <= MOST_WORKERS:
        raise MetricError(f"num_workers is {num_workers}: it must be 1 to {MOST_WORKERS}")
    if not 0 < timeout <= LONGEST:
        raise MetricError(f"timeout is {timeout}: it must be above 0 and at most {LONGEST:g} seconds")
    wall = min(max(SandboxLimits().wall_seconds, WALL_FACTOR * timeout), 2 * LONGEST)
    return SandboxLimits(workers=num_workers, cpu_seconds=timeout, wall_seconds=wall)


def check_columns(references: Sequence[str], predictions: Sequence[Sequence[str]]) -> None:
    """Raise MetricError where the columns are not one string, and one list of strings, a problem."""
    if len(references) != len(predictions):
        raise MetricError(f"{len(predictions)} predictions for {len(references)} references: one list each is needed")
    for number, (tests, row) in enumerate(zip(references, predictions, strict=True)):
        if not isinstance(tests, str):
            raise MetricError(f"references[{number}] is {tests!r:.40}: give the tests' code")
        if isinstance(row, str) or not all(isinstance(program, str) for program in row):
            raise MetricError(f"predictions[{number}] is {row!r:.40}: give a list of programs, not of anything else")


def _results(rows: Sequence[Sequence[Outcome]]) -> Results:
    return {
        task_id: [
            (
                completion_id,
                {
                    "task_id": task_id,
                    "passed": None if outcome.verdict == "harness_error" else outcome.verdict == "passed",
                    "result": _result(outcome),
                    "completion_id": completion_id,
                },
            )
            for completion_id, outcome in enumerate(row)
        ]
        for task_id, row in enumerate(rows)
    }


def _result(outcome: Outcome) -> str:
    """The verdict in `code_eval`'s words: `passed`, `timed out`, or `failed: ` and why."""
    match outcome.verdict:
        case "passed":
            return "passed"
        case "timed_out":
            return "timed out"
        case "harness_error":
            return f"harness error: {outcome.reason}"
        case "failed":
            return f"failed: {outcome.reason}"
    return f"failed: {outcome.verdict.replace('_', ' ')} ({outcome.reason})"
