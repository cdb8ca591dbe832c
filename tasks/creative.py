"""Creative writing: prompts, one arm from adapter to judged texts, and the report over arms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prefect.client.schemas.objects import State

from polymlops.config.creative import CreativeConfig, CreativePromptsSpec, CreativeScoreSpec
from polymlops.config.slices import ReportSpec, SampleSpec
from polymlops.records import Job
from polymlops.refs import ModelRef, PromptsRef, Reference, ReportRef, SampleSetRef, ScoresRef
from polymlops.tracking.stages import Stage
from tasks.policy import StageRunner, as_state, stage_task


@dataclass(frozen=True, slots=True)
class TextSources:
    """What an arm's texts are drawn from; an arm without training has no adapter."""

    base: ModelRef
    adapter: ModelRef | None
    prompts: PromptsRef


@dataclass(frozen=True, slots=True)
class CreativeSources:
    """What scores are computed from. `config` has the judges' address, pace and budget.

    `verdicts` is the store that the project's judges share, on this machine's disk.
    """

    samples: SampleSetRef
    base: ModelRef
    config: CreativeConfig
    verdicts: Path


@stage_task("prepare_prompts")
def prepare_prompts(runner: StageRunner, spec: CreativePromptsSpec) -> State[PromptsRef]:
    """Read, check and choose the prompts."""

    def work(_inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.data import creative_prompts

        return creative_prompts.prepare_prompts(spec, job)

    return as_state(runner.run(Stage("prepare_prompts", spec, PromptsRef, work)))


@stage_task("sample_texts", "sample_texts {spec.arm}/{spec.seed}")
def sample_texts(runner: StageRunner, spec: SampleSpec, sources: TextSources) -> State[SampleSetRef]:
    """Draw an arm's texts."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.generation import creative_sampling

        return creative_sampling.sample_texts(spec, inputs["base"], inputs.get("adapter"), inputs["prompts"], job)

    inputs: dict[str, Reference] = {"base": sources.base, "prompts": sources.prompts}
    if sources.adapter is not None:
        inputs["adapter"] = sources.adapter
    return as_state(runner.run(Stage("sample_texts", spec, SampleSetRef, work, inputs)))


@stage_task("score_texts", "score_texts {spec.arm}/{spec.seed}")
def score_texts(runner: StageRunner, spec: CreativeScoreSpec, sources: CreativeSources) -> State[ScoresRef]:
    """Judge an arm's texts and measure their diversity."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.evaluation import creative

        config = sources.config
        given = creative.CreativeInputs(
            samples=inputs["samples"],
            encoder=inputs["base"] / "encoder",
            base=inputs["base"],
            verdicts=sources.verdicts,
            judge=config.judge,
            second_judge=config.second_judge,
        )
        return creative.score_creative(spec, given, job)

    inputs = {"samples": sources.samples, "base": sources.base}
    return as_state(runner.run(Stage("score_texts", spec, ScoresRef, work, inputs)))


@stage_task("write_creative_results")
def write_creative_results(runner: StageRunner, spec: ReportSpec, scores: Mapping[str, ScoresRef]) -> State[ReportRef]:
    """Draw the figures and write the table of creative writing, by labels `arm/seed`."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.report import creative

        return creative.write_creative_results(spec, inputs, job)

    return as_state(runner.run(Stage("write_creative_results", spec, ReportRef, work, dict(scores))))
