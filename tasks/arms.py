"""One arm from adapter to scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from polymlops.config.slices import AdapterSpec, SampleSpec, ScoreSpec
from polymlops.records import Job
from polymlops.refs import DatasetRef, ModelRef, Reference, RewardRef, SampleSetRef, ScoresRef
from polymlops.tracking.stage import Outcome, Stage
from tasks.sample_parts import named_parts, parts_of
from tasks.stage_task import StageRunner, stage_task

if TYPE_CHECKING:
    from polymlops.evaluation.social import SocialInputs


@dataclass(frozen=True, slots=True)
class ScoreSources:
    """What scores are computed from; the reward model only where there is one."""

    samples: SampleSetRef
    dataset: DatasetRef
    base: ModelRef
    reward: RewardRef | None = None


@stage_task("train_adapter", "train_adapter {spec.arm}/{spec.seed}")
def train_adapter(runner: StageRunner, spec: AdapterSpec, base: ModelRef, dataset: DatasetRef) -> Outcome[ModelRef]:
    """Train an arm's adapter."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.training import processes, sft

        train = partial(sft.train_adapter, spec, inputs["base"], inputs["dataset"])
        return processes.in_processes(train, spec.sft.processes, job)

    inputs = {"base": base, "dataset": dataset}
    return runner.run(Stage("train_adapter", spec, ModelRef, work, inputs))


@stage_task("sample_arm", "sample_arm {spec.arm}/{spec.seed}")
def sample_arm(
    runner: StageRunner,
    spec: SampleSpec,
    base: ModelRef,
    adapter: ModelRef | None,
    dataset: DatasetRef,
    parts: tuple[SampleSetRef, ...] = (),
) -> Outcome[SampleSetRef]:
    """Draw an arm's candidates, or put its parts together; an arm without training has no adapter."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.generation import sampling

        drawn = parts_of(inputs)
        if drawn:
            return sampling.join_parts(drawn, job)
        return sampling.sample_arm(spec, inputs["base"], inputs.get("adapter"), inputs["dataset"], job)

    inputs: dict[str, Reference] = {"base": base, "dataset": dataset}
    if adapter is not None:
        inputs["adapter"] = adapter
    return runner.run(Stage("sample_arm", spec, SampleSetRef, work, inputs, named_parts(parts)))


@stage_task("score_samples", "score_samples {spec.arm}/{spec.seed}")
def score_samples(runner: StageRunner, spec: ScoreSpec, sources: ScoreSources) -> Outcome[ScoresRef]:
    """Score an arm's candidates; with a reward model, by it too."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.evaluation import social
        from tasks.fan_out import sharing_of

        sharing = sharing_of(runner, stage.inputs, social_inputs)
        return social.score_samples(spec, social_inputs(inputs), job, sharing)

    inputs: dict[str, Reference] = {"samples": sources.samples, "dataset": sources.dataset, "base": sources.base}
    if sources.reward is not None:
        inputs["reward"] = sources.reward
    stage = Stage("score_samples", spec, ScoresRef, work, inputs)
    return runner.run(stage)


def social_inputs(folders: Mapping[str, Path]) -> SocialInputs:
    """What scoring replies reads, from folders by role."""
    from polymlops.evaluation.social import SocialInputs

    return SocialInputs(folders["samples"], folders["dataset"], folders["base"], folders.get("reward"))
