"""Problems of a suite as what the sandbox executes."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence

from polymlops.config.sandbox import SandboxLimits
from polymlops.data.suite_problems import Problem
from polymlops.evaluation.completions import Extraction
from polymlops.evaluation.sandbox import Outcome, Program, run_programs


def problem_program(problem: Problem, source: str) -> Program:
    """A whole program for a problem, with the problem's tests; `setup` comes after the program and before the tests.

    Tests that are statements call the entry point themselves, so it is not named to the sandbox, which would hand it to
    a `check`: some of MBPP's programs are called so. One is called `sum`; only its name tells it from the builtin.
    """
    is_named = bool(problem.prefix) or problem.entry_point in dir(builtins)
    entry_point = problem.entry_point if is_named else None
    return Program(source, problem.tests, entry_point, problem.setup, helpers=problem.prefix)


def run_extractions(
    problems: Sequence[Problem], extractions: Sequence[Extraction], limits: SandboxLimits | None = None
) -> list[Outcome]:
    """Execute what was read from completions, one problem each, in order.

    What could not be read is not executed: its outcome is a syntax error with the extraction's reason.
    """
    pairs = list(zip(problems, extractions, strict=True))
    readable = [problem_program(problem, found.source) for problem, found in pairs if not found.fault]
    outcomes = iter(run_programs(readable, limits) if readable else [])
    return [Outcome("syntax_error", found.fault, 0.0, False) if found.fault else next(outcomes) for _, found in pairs]


def solution_runner(limits: SandboxLimits | None = None) -> Callable[[Sequence[Problem]], list[str]]:
    """What `check_suite` asks for: runs the own solution of every problem and says `passed`, or what happened."""

    def run(problems: Sequence[Problem]) -> list[str]:
        programs = [problem_program(problem, problem.canonical_program) for problem in problems]
        return [_said(outcome) for outcome in run_programs(programs, limits)]

    return run


def _said(outcome: Outcome) -> str:
    return outcome.verdict if outcome.verdict == "passed" else f"{outcome.verdict} ({outcome.reason})"
