"""Answers to the problems of a suite, read and executed: one row a candidate, whatever became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from polymlops.data.suite_problems import Problem, Suite
from polymlops.errors import InputError
from polymlops.evaluation.completions import Extraction, extract
from polymlops.evaluation.problem_programs import problem_program
from polymlops.evaluation.sandbox import Outcome, Program, SandboxPool

if TYPE_CHECKING:
    # The sandbox starts it by name: only this import tells the fingerprint of a cached score what judged it.
    from polymlops.evaluation import sandbox_worker  # noqa: F401

# passed is null where the harness failed; program is what was executed, or what could not be read
RUNS = {
    "prompt_id": pl.String,
    "sample_id": pl.Int64,
    "passed": pl.Boolean,
    "well_formed": pl.Boolean,
    "verdict": pl.String,
    "reason": pl.String,
    "cpu_seconds": pl.Float64,
    "in_one_process": pl.Boolean,
    "form": pl.String,
    "program": pl.String,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model wrote for a problem; samples of a task have different numbers."""

    task_id: str
    sample_id: int
    text: str


def run_answers(answers: Sequence[Answer], suite: Suite, pool: SandboxPool) -> pl.DataFrame:
    """Read every answer, execute what can be read, and return the rows of `RUNS`, in order.

    What the harness could not judge is tried once more; if it cannot again, the verdict stays `harness_error`.

    Raises:
        InputError: an answer to a problem that the suite lacks.
    """
    by_task = suite.by_task()
    unknown = next((answer.task_id for answer in answers if answer.task_id not in by_task), None)
    if unknown is not None:
        raise InputError(f"{unknown!r} is no problem of {suite.source}: score with the suite that was sampled")
    problems = [by_task[answer.task_id] for answer in answers]
    found = [extract(problem, answer.text) for problem, answer in zip(problems, answers, strict=True)]
    outcomes = execute(problems, found, pool)
    rows = [_row(*row) for row in zip(answers, found, outcomes, strict=True)]
    return pl.DataFrame(rows, schema=RUNS, orient="row")


def execute(problems: Sequence[Problem], extractions: Sequence[Extraction], pool: SandboxPool) -> list[Outcome]:
    """Outcomes, one an extraction, from a pool that lives on; what could not be read is a syntax error."""
    outcomes = [Outcome("syntax_error", found.fault, 0.0, False) for found in extractions]
    programs = {
        index: problem_program(problem, found.source)
        for index, (problem, found) in enumerate(zip(problems, extractions, strict=True))
        if not found.fault
    }
    for _ in range(2):
        _run_into(outcomes, programs, pool)
        programs = {i: program for i, program in programs.items() if outcomes[i].verdict == "harness_error"}
    return outcomes


def _run_into(outcomes: list[Outcome], programs: dict[int, Program], pool: SandboxPool) -> None:
    if programs:
        for index, outcome in zip(programs, pool.run(list(programs.values())), strict=True):
            outcomes[index] = outcome


def _row(answer: Answer, found: Extraction, outcome: Outcome) -> tuple[object, ...]:
    passed = None if outcome.verdict == "harness_error" else outcome.verdict == "passed"
    return (
        *(answer.task_id, answer.sample_id, passed, not found.fault, outcome.verdict, outcome.reason),
        *(outcome.cpu_seconds, outcome.in_one_process, found.form, found.source),
    )
