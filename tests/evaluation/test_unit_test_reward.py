"""The reward is the sandbox's verdict; what nobody could judge is an error, not a zero."""

import numpy as np
import pytest

from polymlops.config.sandbox import SandboxLimits
from polymlops.config.suites import WorldSuiteConfig
from polymlops.data.suite_problems import Suite
from polymlops.data.suites import load_suite
from polymlops.errors import InputError, StageError
from polymlops.evaluation.code_diversity import DiversityRule, ProblemSamples, code_diversity
from polymlops.evaluation.completions import extract
from polymlops.evaluation.sandbox import Outcome, SandboxPool
from polymlops.evaluation.unit_test_reward import UnitTestReward

SUITE = load_suite(WorldSuiteConfig(split="train", count=4))


class BrokenPool:
    def run(self, programs):
        return [Outcome("harness_error", "no worker", 0.0, False) for _ in programs]


def test_a_right_answer_is_worth_1_with_or_without_its_first_indentation():
    problem, other = SUITE.problems[:2]
    answers = [problem.canonical_solution, problem.canonical_solution.strip(), "    return object()", ""]
    with SandboxPool(SandboxLimits(workers=1)) as pool:
        reward = UnitTestReward(SUITE, pool)
        assert reward([problem.prompt] * 4, answers).tolist() == [1, 1, 0, 0]
        assert reward([other.prompt], [other.canonical_solution]).tolist() == [1]


def test_what_cannot_be_judged_is_an_error():
    problem = SUITE.problems[0]
    with pytest.raises(StageError, match=r"could not judge 1 answers \(no worker\)"):
        UnitTestReward(SUITE, BrokenPool())([problem.prompt], [problem.canonical_solution])


def test_distances_are_those_that_diversity_reports_and_broken_programs_add_none():
    problem = next(problem for problem in SUITE.problems if problem.canonical_solution.count("\n") == 1)
    loop = "    for y in [1]:\n        pass\n    return None"
    answers = [problem.canonical_solution, loop.strip(), "    return (", problem.canonical_solution.strip(), loop]
    reward = UnitTestReward(SUITE, BrokenPool())
    found_KK = reward.distances(problem.prompt, answers)
    programs = tuple(extract(problem, answer).source for answer in answers)
    alone = code_diversity(ProblemSamples("p", (programs[0], programs[1])), DiversityRule()).distance
    assert alone > 0
    kind_K = np.array([0, 1, 2, 0, 1])
    expected = np.array([[0, alone, 0], [alone, 0, 0], [0, 0, 0]])[np.ix_(kind_K, kind_K)]
    np.testing.assert_allclose(found_KK, expected)
    assert not reward.distances(problem.prompt, ["    return ("] * 2).any()


def test_unknown_and_ambiguous_prompts_are_refused():
    with pytest.raises(InputError, match="prompt of no problem"):
        UnitTestReward(SUITE, BrokenPool())(["what?"], ["x"])
    with pytest.raises(InputError, match="two problems have one prompt"):
        UnitTestReward(Suite("twice", "twice", SUITE.problems[:1] * 2), BrokenPool())
