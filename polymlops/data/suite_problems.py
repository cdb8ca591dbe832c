"""What a suite is made of: problems whose answers are programs, judged by tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem.

    prompt              what a person would read: code to be completed (HumanEval), or a sentence (MBPP)
    prefix              code that every completion continues; empty where a completion is a whole program
    entry_point         name that the tests call
    tests               HumanEval: a function `check(candidate)`; MBPP: one assert a line that calls the entry point
    setup               code that runs after the program and before the tests, such as objects built from its classes
    canonical_solution  follows the prefix; with it the tests pass
    family              problems of one family differ in a parameter only; elsewhere the problem's own id
    split               the official split it belongs to
    """

    task_id: str
    prompt: str
    prefix: str
    entry_point: str
    tests: str
    setup: str
    canonical_solution: str
    family: str
    split: str = "test"

    @property
    def canonical_program(self) -> str:
        """The whole program of the canonical solution."""
        return self.prefix + self.canonical_solution


@dataclass(frozen=True, slots=True)
class Suite:
    """Problems in their order, no task_id twice; `examples` are solved ones that a prompt may show."""

    name: str
    source: str
    problems: tuple[Problem, ...]
    examples: tuple[Problem, ...] = ()

    def by_task(self) -> dict[str, Problem]:
        """The problems by task_id."""
        return {problem.task_id: problem for problem in self.problems}
