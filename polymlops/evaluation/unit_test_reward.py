"""Unit tests as a reward: 1 for an answer whose program passes its problem's tests in the sandbox, else 0."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polymlops.data.suite_problems import Suite
from polymlops.errors import InputError, StageError
from polymlops.evaluation.completions import extract
from polymlops.evaluation.program_runs import execute
from polymlops.evaluation.sandbox import SandboxPool
from polymlops.metrics.arrays import Floats


class UnitTestReward:
    """Rewards answers to the problems of a suite, which are known by their prompts."""

    def __init__(self, suite: Suite, pool: SandboxPool) -> None:
        self.problems = {problem.prompt: problem for problem in suite.problems}
        self.pool = pool
        if len(self.problems) < len(suite.problems):
            raise InputError(f"{suite.source}: two problems have one prompt, so that an answer could belong to either")

    def __call__(self, prompts: Sequence[str], answers: Sequence[str]) -> Floats:
        """One reward an answer, (N,).

        Raises:
            InputError: a prompt of no problem.
            StageError: the harness could not judge an answer; it is neither right nor wrong.
        """
        unknown = next((prompt for prompt in prompts if prompt not in self.problems), None)
        if unknown is not None:
            raise InputError(f"{unknown!r:.60} is the prompt of no problem of the suite")
        problems = [self.problems[prompt] for prompt in prompts]
        found = [extract(problem, answer) for problem, answer in zip(problems, answers, strict=True)]
        outcomes = execute(problems, found, self.pool)
        unjudged = [outcome.reason for outcome in outcomes if outcome.verdict == "harness_error"]
        if unjudged:
            raise StageError(f"the sandbox could not judge {len(unjudged)} answers ({unjudged[0]}): run again")
        return np.array([outcome.verdict == "passed" for outcome in outcomes], dtype=np.float64)
