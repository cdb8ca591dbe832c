"""The stage that trains an arm by GRPO on the verdicts of the sandbox."""

from __future__ import annotations

from pathlib import Path

from polymlops.config.code_slices import CodeGRPOSpec
from polymlops.data.suites import load_suite
from polymlops.evaluation.sandbox import SandboxPool
from polymlops.evaluation.unit_test_reward import UnitTestReward
from polymlops.records import Job
from polymlops.training.code_grpo import ProgramJudges, train_on_programs


def train_in_sandbox(spec: CodeGRPOSpec, base: Path, start: Path, job: Job) -> dict[str, float]:
    """Train on the suite of the spec's reward; returns and raises as `train_on_programs`."""
    suite = load_suite(spec.reward.suite)
    with SandboxPool(spec.reward.limits) as pool:
        reward = UnitTestReward(suite, pool)
        judges = ProgramJudges(reward, reward.distances)
        return train_on_programs(spec, base, start, suite.problems, judges, job)
