"""What every phase stands on: the data, the base model and the SFT adapters. Each phase names it; the ledger has it."""

from __future__ import annotations

from flows.execution import Call
from flows.results import Foundations
from polymlops.config.schema import ExperimentConfig
from polymlops.config.slices import adapter_spec, trained_arms
from polymlops.refs import ModelRef
from tasks.arms import train_adapter
from tasks.preparation import build_base_model, prepare_dataset


def lay_foundations(call: Call, config: ExperimentConfig) -> Foundations:
    """Data, base model, SFT adapters."""
    dataset = call(prepare_dataset, config.data)
    base = call(build_base_model, config.base_model, dataset)
    adapters: dict[str, ModelRef] = {}
    for arm, seed in trained_arms(config):
        adapters[f"{arm}/{seed}"] = call(train_adapter, adapter_spec(config, arm, seed), base, dataset)
    return Foundations(dataset=dataset, base=base, adapters=adapters)
