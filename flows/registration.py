"""Which of phase 2's adapters are registered, and on what evidence."""

from __future__ import annotations

from typing import Literal, cast

from flows.results import DepthArtifacts
from polymlops.config.schema import STARTS, ExperimentConfig
from polymlops.config.slices import grpo_arms
from polymlops.refs import ScoresRef
from polymlops.report.scores import SHOWN
from polymlops.tracking.records import RegisteredVersion
from polymlops.tracking.stages import RunContext
from tasks.policy import result_of, retrying
from tasks.registry import Registration, register_model


def register(run: RunContext, config: ExperimentConfig, artifacts: DepthArtifacts) -> tuple[RegisteredVersion, ...]:
    """Register each GRPO arm's adapter of the first seed; all seeds decide about its promotion."""
    task = retrying(register_model, config.execution.retries)
    wanted = [registration(config, artifacts, arm) for arm in dict.fromkeys(arm for arm, _ in grpo_arms(config))]
    states = [task(run, item, return_state=True) for item in wanted]
    return tuple(cast(RegisteredVersion, result_of(state)) for state in states)


def registration(config: ExperimentConfig, artifacts: DepthArtifacts, arm: str) -> Registration:
    """What is registered of one arm."""
    start = cast('Literal["baseline", "polychromic"]', STARTS[arm])  # type: ignore[index]  # an arm by GRPO

    def scores_of(name: str) -> dict[str, ScoresRef]:
        return {f"{name}/{seed}": artifacts.scores[f"{name}/{seed}"] for seed in config.seeds}

    return Registration(
        profile=config.name,
        start=start,
        adapter=artifacts.adapters[f"{arm}/{config.seeds[0]}"],
        base=artifacts.base,
        reward=artifacts.reward,
        sampling=config.sampling,
        metric=f"usq_{_selector(config)}_at_{min(SHOWN, config.sampling.n)}",
        trained=scores_of(arm),
        started=scores_of(start),
        resamples=config.evaluation.resamples,
    )


def _selector(config: ExperimentConfig) -> str:
    """What picks: the reward model, except where quality is its own opinion."""
    return "reward" if config.data.truth_is_known else "logprob"
