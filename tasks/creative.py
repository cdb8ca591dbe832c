"""Creative writing: prompts, one arm from adapter to judged texts, and the report over arms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from polymlops.config.creative import CreativeConfig, CreativePromptsSpec, CreativeScoreSpec
from polymlops.config.slices import ReportSpec, SampleSpec
from polymlops.records import Job
from polymlops.refs import ModelRef, PromptsRef, Reference, ReportRef, SampleSetRef, ScoresRef
from polymlops.tracking.stage import Outcome, Stage
from tasks.sample_parts import named_parts, parts_of
from tasks.stage_task import StageRunner, stage_task

if TYPE_CHECKING:
    from polymlops.evaluation.creative import CreativeInputs


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
def prepare_prompts(runner: StageRunner, spec: CreativePromptsSpec) -> Outcome[PromptsRef]:
    """Read, check and choose the prompts."""

    def work(_inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.data import creative_prompts

        return creative_prompts.prepare_prompts(spec, job)

    return runner.run(Stage("prepare_prompts", spec, PromptsRef, work))


@stage_task("sample_texts", "sample_texts {spec.arm}/{spec.seed}")
def sample_texts(
    runner: StageRunner, spec: SampleSpec, sources: TextSources, parts: tuple[SampleSetRef, ...] = ()
) -> Outcome[SampleSetRef]:
    """Draw an arm's texts, or put its parts together."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.generation import creative_sampling, sampling

        drawn = parts_of(inputs)
        if drawn:
            return sampling.join_parts(drawn, job)
        return creative_sampling.sample_texts(spec, inputs["base"], inputs.get("adapter"), inputs["prompts"], job)

    inputs: dict[str, Reference] = {"base": sources.base, "prompts": sources.prompts}
    if sources.adapter is not None:
        inputs["adapter"] = sources.adapter
    return runner.run(Stage("sample_texts", spec, SampleSetRef, work, inputs, named_parts(parts)))


@stage_task("score_texts", "score_texts {spec.arm}/{spec.seed}")
def score_texts(runner: StageRunner, spec: CreativeScoreSpec, sources: CreativeSources) -> Outcome[ScoresRef]:
    """Judge an arm's texts and measure their diversity."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.evaluation import creative
        from tasks.fan_out import sharing_of

        config, sharing = sources.config, sharing_of(runner, stage.inputs, text_inputs)
        given = replace(
            text_inputs(inputs), verdicts=sources.verdicts, judge=config.judge, second_judge=config.second_judge
        )
        return creative.score_creative(spec, given, job, sharing=sharing)

    stage = Stage("score_texts", spec, ScoresRef, work, {"samples": sources.samples, "base": sources.base})
    return runner.run(stage)


def text_inputs(folders: Mapping[str, Path]) -> CreativeInputs:
    """What scoring texts reads besides judges, from folders by role."""
    from polymlops.evaluation.creative import CreativeInputs

    base = folders["base"]
    return CreativeInputs(samples=folders["samples"], encoder=base / "encoder", base=base)


@stage_task("write_creative_results")
def write_creative_results(
    runner: StageRunner, spec: ReportSpec, scores: Mapping[str, ScoresRef]
) -> Outcome[ReportRef]:
    """Draw the figures and write the table of creative writing, by labels `arm/seed`."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.report import creative

        return creative.write_creative_results(spec, inputs, job)

    return runner.run(Stage("write_creative_results", spec, ReportRef, work, dict(scores)))
