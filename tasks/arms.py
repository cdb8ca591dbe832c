"""One arm from adapter to scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prefect.client.schemas.objects import State

from polymlops.config.slices import AdapterSpec, SampleSpec, ScoreSpec
from polymlops.records import Job
from polymlops.refs import DatasetRef, ModelRef, Reference, RewardRef, SampleSetRef, ScoresRef
from polymlops.tracking.stages import Stage
from tasks.policy import StageRunner, as_state, stage_task


@dataclass(frozen=True, slots=True)
class ScoreSources:
    """What scores are computed from; the reward model only where there is one."""

    samples: SampleSetRef
    dataset: DatasetRef
    base: ModelRef
    reward: RewardRef | None = None


@stage_task("train_adapter", "train_adapter {spec.arm}/{spec.seed}")
def train_adapter(runner: StageRunner, spec: AdapterSpec, base: ModelRef, dataset: DatasetRef) -> State[ModelRef]:
    """Train an arm's adapter."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.training import sft

        return sft.train_adapter(spec, inputs["base"], inputs["dataset"], job)

    inputs = {"base": base, "dataset": dataset}
    return as_state(runner.run(Stage("train_adapter", spec, ModelRef, work, inputs)))


@stage_task("sample_arm", "sample_arm {spec.arm}/{spec.seed}")
def sample_arm(
    runner: StageRunner, spec: SampleSpec, base: ModelRef, adapter: ModelRef | None, dataset: DatasetRef
) -> State[SampleSetRef]:
    """Draw an arm's candidates; an arm without training has no adapter."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.generation import sampling

        return sampling.sample_arm(spec, inputs["base"], inputs.get("adapter"), inputs["dataset"], job)

    inputs: dict[str, Reference] = {"base": base, "dataset": dataset}
    if adapter is not None:
        inputs["adapter"] = adapter
    return as_state(runner.run(Stage("sample_arm", spec, SampleSetRef, work, inputs)))


@stage_task("score_samples", "score_samples {spec.arm}/{spec.seed}")
def score_samples(runner: StageRunner, spec: ScoreSpec, sources: ScoreSources) -> State[ScoresRef]:
    """Score an arm's candidates; with a reward model, by it too."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.evaluation import social

        folders = social.SocialInputs(inputs["samples"], inputs["dataset"], inputs["base"], inputs.get("reward"))
        return social.score_samples(spec, folders, job)

    inputs: dict[str, Reference] = {"samples": sources.samples, "dataset": sources.dataset, "base": sources.base}
    if sources.reward is not None:
        inputs["reward"] = sources.reward
    return as_state(runner.run(Stage("score_samples", spec, ScoresRef, work, inputs)))
