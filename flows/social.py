"""The social domain of a phase's arms: samples and scores, the same stages wherever a phase needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flows.calls import Call
from flows.foundations import lay_reward
from flows.results import DomainArtifacts, Foundations
from flows.sampling import drawn
from polymlops.config.schema import Arm, ExperimentConfig
from polymlops.config.slices import all_arms, sample_spec, score_spec
from polymlops.refs import ModelRef, RewardRef, SampleSetRef, ScoresRef
from tasks.arms import ScoreSources, sample_arm, score_samples


def measure_core(call: Call, config: ExperimentConfig, ground: Foundations) -> DomainArtifacts:
    """The arms of phase 1; the quality of other data than the world's is what a reward model says."""
    reward = None if config.data.truth_is_known else lay_reward(call, config, ground)
    return measure_social(call, config, ground, all_arms(config), reward)


def measure_social(
    call: Call,
    config: ExperimentConfig,
    ground: Foundations,
    arms: Sequence[tuple[Arm, int]],
    reward: RewardRef | None = None,
) -> DomainArtifacts:
    """Sample and score arms, by `arm/seed`; with a reward model, by it too. Adapters are those of `ground`."""
    samples: dict[str, SampleSetRef] = {}
    scores: dict[str, ScoresRef] = {}
    for arm, seed in arms:
        label = f"{arm}/{seed}"
        adapter: ModelRef | None = ground.adapters.get(label)
        spec, parts = sample_spec(config, arm, seed), config.execution.sampling_shards
        samples[label] = drawn(call, parts, sample_arm, spec, ground.base, adapter, ground.dataset)
        sources = ScoreSources(samples[label], ground.dataset, ground.base, reward)
        scores[label] = call(score_samples, score_spec(config, arm, seed), sources)
    return DomainArtifacts(samples=samples, scores=scores)


def with_adapters(ground: Foundations, adapters: Mapping[str, ModelRef]) -> Foundations:
    """The foundations with more adapters."""
    return ground.model_copy(update={"adapters": {**ground.adapters, **adapters}})
