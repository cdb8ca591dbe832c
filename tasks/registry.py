"""GRPO's adapters in the model registry: registered as candidates, promoted where the rule holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from prefect.client.schemas.objects import State
from prefect.states import Completed

from polymlops.config.sampling import SamplingConfig
from polymlops.refs import ModelRef, RewardRef, ScoresRef
from polymlops.tracking.records import RegisteredVersion
from polymlops.tracking.registry import RegistryCandidate
from polymlops.tracking.stages import RunContext
from tasks.policy import prefect_task


@dataclass(frozen=True, slots=True)
class Registration:
    """What is registered, and the scores that decide about its promotion, by `arm/seed`."""

    profile: str
    start: Literal["baseline", "polychromic"]
    adapter: ModelRef
    base: ModelRef
    reward: RewardRef
    sampling: SamplingConfig
    metric: str
    trained: Mapping[str, ScoresRef]
    started: Mapping[str, ScoresRef]
    resamples: int


@prefect_task("register_model", "register_model {wanted.profile}-grpo-{wanted.start}")
def register_model(context: RunContext, wanted: Registration) -> State[RegisteredVersion]:
    """Register an adapter and apply the promotion rule. Not a stage: it asks the registry what is there."""
    import numpy as np

    from polymlops.tracking.registry import register_adapter
    from polymlops.tracking.registry_evidence import PromotionEvidence, judge
    from polymlops.tracking.registry_promotion import promote
    from polymlops.tracking.store import open_store

    candidate = RegistryCandidate(
        wanted.profile, wanted.start, wanted.adapter, wanted.base, wanted.reward, wanted.sampling
    )
    version = register_adapter(context, candidate)
    trained = {label: context.fetch(ref) for label, ref in wanted.trained.items()}
    started = {label: context.fetch(ref) for label, ref in wanted.started.items()}
    evidence = PromotionEvidence(wanted.metric, trained, started, context.fetch(wanted.adapter))
    decision = judge(evidence, np.random.default_rng(0), wanted.resamples)
    version = promote(open_store(context.tracking_uri), version, decision)
    return Completed(message=f"{version.uri} {', '.join(version.aliases)}: {decision.reason}", data=version)
