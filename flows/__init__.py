"""The flows, for Python: each takes a config and returns a record. Importing this imports neither Prefect nor torch.

Without PREFECT_API_URL in the environment, a Prefect API is started for the call and stopped after it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flows.results import (
        CoreResults,
        DepthResults,
        GeneralizationResults,
        NovelResults,
        RewardResults,
        RoadmapResults,
    )
    from polymlops.config.schema import ExperimentConfig

__all__ = [
    "run_core_results",
    "run_generalization",
    "run_novel_metrics",
    "run_reward_model",
    "run_roadmap",
    "run_theoretical_depth",
]


def run_core_results(config: ExperimentConfig) -> CoreResults:
    """Phase 1: data, base model, adapters, the four baselines, figures and table.

    Raises:
        UsageError: the config asks for what cannot be done.
        StageError: a stage failed; what was finished is kept, and the same call goes on from there.
    """
    return _run(config, "core_results")


def run_theoretical_depth(config: ExperimentConfig) -> DepthResults:
    """Phase 2: reward model, GRPO from both starts, comparison with the starts, analyses, registry.

    Raises:
        UsageError: the config asks for what cannot be done, or has no arm that GRPO trains.
        StageError: a stage failed; what was finished is kept, and the same call goes on from there.
    """
    from polymlops.config.slices import grpo_arms
    from polymlops.errors import ConfigError

    if not grpo_arms(config):
        raise ConfigError("arms: phase 2 needs baseline_grpo or polychromic_grpo among them")
    return _run(config, "theoretical_depth")


def run_reward_model(config: ExperimentConfig) -> RewardResults:
    """Data, base model and reward model, validated: what phase 2 begins with.

    Raises:
        UsageError: the config asks for what cannot be done.
        StageError: a stage failed; what was finished is kept, and the same call goes on from there.
    """
    return _run(config, "reward_model")


def run_generalization(config: ExperimentConfig) -> GeneralizationResults:
    """Phase 3: every arm of phases 1 and 2 on code, executed in the sandbox, and on creative writing; domains compared.

    Raises:
        UsageError: the config asks for what cannot be done.
        StageError: a stage failed; what was finished is kept, and the same call goes on from there.
    """
    return _run(config, "generalization")


def run_novel_metrics(config: ExperimentConfig) -> NovelResults:
    """Phase 4: who gets what from every arm and domain, from stored sample sets only; and the report.

    Raises:
        UsageError: phases 1 to 3 left nothing that could be measured, or arms that cannot be compared.
        StageError: a stage failed; what was finished is kept, and the same call goes on from there.
    """
    return _run(config, "novel_metrics")


def run_roadmap(config: ExperimentConfig) -> RoadmapResults:
    """All phases in order, in one MLflow run.

    Raises:
        UsageError: the config asks for what cannot be done.
        StageError: a stage failed; what was finished is kept, and the same call goes on from there.
    """
    return _run(config, "roadmap")


def _run(config: ExperimentConfig, name: str) -> Any:
    """What the flow of this name, in the module of this name, returns."""
    from flows.services import services

    with services(config) as prefect:
        flow = getattr(import_module(f"flows.{name}"), name)
        return prefect.settled(flow(config, return_state=True))
