"""The reward model alone: data, base model, reward model; the stages that phase 2 begins with."""

from __future__ import annotations

from prefect import flow

from flows.calls import Call
from flows.execution import carried_out, tracked
from flows.results import RewardResults
from polymlops.config.schema import ExperimentConfig
from polymlops.data.ingest_files import pinned
from polymlops.refs import DatasetRef, ModelRef, RewardRef
from polymlops.tracking.roadmaps import log_results
from tasks.preparation import build_base_model, prepare_dataset
from tasks.rewards import train_reward_model


@flow(name="reward-model", flow_run_name="{config.name}", persist_result=False)
def reward_model(config: ExperimentConfig) -> RewardResults:
    """Prepare the data, make the base model, train the reward model and validate it."""
    with tracked(config, None, carry_out) as run:
        dataset, base, reward = carry_out(carried_out(run, config.execution), config)
        log_results(run, "reward-model", {"dataset": dataset, "base": base, "reward": reward}, dataset)
        folder = run.export(reward, f"{config.name}/reward-model")
        return RewardResults(parent_run_id=run.parent_run_id, dataset=dataset, base=base, reward=reward, folder=folder)


def carry_out(call: Call, config: ExperimentConfig) -> tuple[DatasetRef, ModelRef, RewardRef]:
    """The stages of the flow, in order."""
    dataset = call(prepare_dataset, pinned(config.data))
    base = call(build_base_model, config.base_model, dataset)
    return dataset, base, call(train_reward_model, config.reward_model, base, dataset)
