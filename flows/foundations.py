"""What every phase stands on: data, base model, adapters of SFT and of GRPO. Each phase names it; the ledger has it."""

from __future__ import annotations

from flows.calls import Call
from flows.results import Foundations
from polymlops.config.schema import STARTS, ExperimentConfig
from polymlops.config.slices import adapter_spec, grpo_arms, grpo_spec, trained_arms
from polymlops.data.ingest_files import pinned
from polymlops.refs import ModelRef, RewardRef
from tasks.arms import train_adapter
from tasks.preparation import build_base_model, prepare_dataset
from tasks.rewards import GRPOSources, train_grpo, train_reward_model


def lay_foundations(call: Call, config: ExperimentConfig) -> Foundations:
    """Data, base model, SFT adapters."""
    dataset = call(prepare_dataset, pinned(config.data))
    base = call(build_base_model, config.base_model, dataset)
    adapters: dict[str, ModelRef] = {}
    for arm, seed in trained_arms(config):
        adapters[f"{arm}/{seed}"] = call(train_adapter, adapter_spec(config, arm, seed), base, dataset)
    return Foundations(dataset=dataset, base=base, adapters=adapters)


def lay_reward(call: Call, config: ExperimentConfig, ground: Foundations) -> RewardRef:
    """The reward model."""
    return call(train_reward_model, config.reward_model, ground.base, ground.dataset)


def tune_by_reward(call: Call, config: ExperimentConfig, ground: Foundations, reward: RewardRef) -> dict[str, ModelRef]:
    """GRPO's adapters, by `arm/seed`."""
    tuned: dict[str, ModelRef] = {}
    for arm, seed in grpo_arms(config):
        start = ground.adapters[f"{STARTS[arm]}/{seed}"]
        sources = GRPOSources(ground.base, start, ground.dataset, reward)
        tuned[f"{arm}/{seed}"] = call(train_grpo, grpo_spec(config, arm, seed), sources)
    return tuned
