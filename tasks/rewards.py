"""The reward model, and the arms that are trained on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from polymlops.config.grpo import GRPOSpec
from polymlops.config.rewards import RewardModelConfig
from polymlops.records import Job
from polymlops.refs import DatasetRef, ModelRef, RewardRef
from polymlops.tracking.stage import Outcome, Stage
from tasks.stage_task import StageRunner, stage_task


@dataclass(frozen=True, slots=True)
class GRPOSources:
    """What GRPO needs besides its settings."""

    base: ModelRef
    start: ModelRef
    dataset: DatasetRef
    reward: RewardRef


@stage_task("train_reward_model")
def train_reward_model(
    runner: StageRunner, spec: RewardModelConfig, base: ModelRef, dataset: DatasetRef
) -> Outcome[RewardRef]:
    """Train and validate the reward model."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.training import reward_model

        return reward_model.train_reward_model(spec, inputs["base"], inputs["dataset"], job)

    inputs = {"base": base, "dataset": dataset}
    return runner.run(Stage("train_reward_model", spec, RewardRef, work, inputs))


@stage_task("train_grpo", "train_grpo {spec.arm}/{spec.seed}")
def train_grpo(runner: StageRunner, spec: GRPOSpec, sources: GRPOSources) -> Outcome[ModelRef]:
    """Train an arm's adapter further on the rewards of its own samples."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.training import grpo_stage, processes

        folders = grpo_stage.GRPOInputs(inputs["base"], inputs["start"], inputs["dataset"], inputs["reward"])
        return processes.in_processes(partial(grpo_stage.train_arm, spec, folders), spec.grpo.processes, job)

    inputs = {"base": sources.base, "start": sources.start, "dataset": sources.dataset, "reward": sources.reward}
    return runner.run(Stage("train_grpo", spec, ModelRef, work, inputs))
