"""GRPO on programs: the problems as prompts; the caller brings what executes and compares them (training may not)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from polymlops.config.code_slices import CodeGRPOSpec
from polymlops.config.grpo import GRPOSpec
from polymlops.config.sampling import DynamicsSpec, SamplingConfig
from polymlops.data.suite_problems import Problem
from polymlops.models.ranks import is_first, wait_for_all
from polymlops.records import Job
from polymlops.training.grpo import GroupDistances, RewardFunction, train_grpo

NO_DYNAMICS = DynamicsSpec(track=False, frequency=1, prompts=1, samples=2)


@dataclass(frozen=True, slots=True)
class ProgramJudges:
    """What knows programs: the reward of prompts and answers, and the distances of one prompt's answers."""

    reward: RewardFunction
    distances: GroupDistances | None = None


def train_on_programs(
    spec: CodeGRPOSpec, base: Path, start: Path, problems: Sequence[Problem], judges: ProgramJudges, job: Job
) -> dict[str, float]:
    """Train the adapter in `start` on the problems; the KL is to it. Returns and raises as `train_grpo`."""
    folder = job.scratch / "problems"
    folder.mkdir(exist_ok=True)
    rows = {"post_id": [problem.task_id for problem in problems], "post": [problem.prompt for problem in problems]}
    if is_first():
        pl.DataFrame(rows).write_parquet(folder / "train_grpo.parquet")
    wait_for_all()
    settings = GRPOSpec(arm=spec.arm, seed=spec.seed, grpo=spec.grpo, dynamics=NO_DYNAMICS, sampling=SamplingConfig())
    return train_grpo(settings, base, start, folder, judges.reward, job, judges.distances)
