"""Unit tests as a reward: 1 for an answer whose program passes its problem's tests in the sandbox, else 0.

Beside it, how far apart the programs of a problem are: the distance that `program_diversity` reports.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polymlops.data.suite_problems import Problem, Suite
from polymlops.errors import InputError, StageError
from polymlops.evaluation.completions import extract
from polymlops.evaluation.program_runs import execute
from polymlops.evaluation.program_trees import program_tree
from polymlops.evaluation.sandbox import SandboxPool
from polymlops.evaluation.tree_distance import distance_matrix
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
        problems = [self._problem(prompt) for prompt in prompts]
        found = [extract(problem, answer) for problem, answer in zip(problems, answers, strict=True)]
        outcomes = execute(problems, found, self.pool)
        unjudged = [outcome.reason for outcome in outcomes if outcome.verdict == "harness_error"]
        if unjudged:
            raise StageError(f"the sandbox could not judge {len(unjudged)} answers ({unjudged[0]}): run again")
        return np.array([outcome.verdict == "passed" for outcome in outcomes], dtype=np.float64)

    def distances(self, prompt: str, answers: Sequence[str]) -> Floats:
        """Normalised tree edit distances of the answers' programs, names and constants left out, (K, K).

        What does not parse is at distance 0 to all: it adds nothing to a set.

        Raises: InputError for a prompt of no problem.
        """
        problem = self._problem(prompt)
        trees = [program_tree(extract(problem, answer).source) for answer in answers]
        unique = list(dict.fromkeys(tree for tree in trees if tree))
        member_K = np.array([unique.index(tree) if tree else -1 for tree in trees])
        # The row and column of what does not parse come last, where -1 finds them.
        distances_UU = np.pad(distance_matrix(unique), (0, 1))
        return distances_UU[np.ix_(member_K, member_K)]

    def _problem(self, prompt: str) -> Problem:
        if prompt not in self.problems:
            raise InputError(f"{prompt!r:.60} is the prompt of no problem of the suite")
        return self.problems[prompt]
