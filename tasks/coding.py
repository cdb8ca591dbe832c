"""The code domain: one arm from adapter to executed programs, and the report over arms."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from polymlops.config.code_slices import CodeGRPOSpec, CodeSampleSpec, CodeScoreSpec, ZeroAdapterSpec
from polymlops.config.slices import ReportSpec
from polymlops.records import Job
from polymlops.refs import ModelRef, Reference, ReportRef, SampleSetRef, ScoresRef
from polymlops.tracking.stage import Outcome, Stage
from tasks.sample_parts import named_parts, parts_of
from tasks.stage_task import StageRunner, stage_task

if TYPE_CHECKING:
    from polymlops.evaluation.coding import CodeInputs


@stage_task("sample_programs", "sample_programs {spec.arm}/{spec.seed}")
def sample_programs(
    runner: StageRunner,
    spec: CodeSampleSpec,
    base: ModelRef,
    adapter: ModelRef | None,
    parts: tuple[SampleSetRef, ...] = (),
) -> Outcome[SampleSetRef]:
    """Draw an arm's programs, or put its parts together; an arm without training has no adapter."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.generation import code_sampling, sampling

        drawn = parts_of(inputs)
        if drawn:
            return sampling.join_parts(drawn, job)
        return code_sampling.sample_programs(spec, inputs["base"], inputs.get("adapter"), job)

    inputs: dict[str, Reference] = {"base": base}
    if adapter is not None:
        inputs["adapter"] = adapter
    return runner.run(Stage("sample_programs", spec, SampleSetRef, work, inputs, named_parts(parts)))


@stage_task("score_programs", "score_programs {spec.arm}/{spec.seed}")
def score_programs(runner: StageRunner, spec: CodeScoreSpec, samples: SampleSetRef) -> Outcome[ScoresRef]:
    """Execute an arm's programs in the sandbox and measure their diversity."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.evaluation import coding
        from tasks.fan_out import sharing_of

        sharing = sharing_of(runner, stage.inputs, code_inputs)
        return coding.score_programs(spec, code_inputs(inputs), job, sharing.share)

    stage = Stage("score_programs", spec, ScoresRef, work, {"samples": samples})
    return runner.run(stage)


def code_inputs(folders: Mapping[str, Path]) -> CodeInputs:
    """What scoring programs reads, from folders by role."""
    from polymlops.evaluation.coding import CodeInputs

    return CodeInputs(folders["samples"])


@stage_task("write_code_results")
def write_code_results(runner: StageRunner, spec: ReportSpec, scores: Mapping[str, ScoresRef]) -> Outcome[ReportRef]:
    """Draw the figures and write the table of the code domain, by labels `arm/seed`."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.report import code

        return code.write_code_results(spec, inputs, job)

    return runner.run(Stage("write_code_results", spec, ReportRef, work, dict(scores)))


@stage_task("make_zero_adapter", "make_zero_adapter {spec.seed}")
def make_zero_adapter(runner: StageRunner, spec: ZeroAdapterSpec, base: ModelRef) -> Outcome[ModelRef]:
    """Make the adapter that training on programs starts from."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.training import zero_adapter

        return zero_adapter.make_zero_adapter(spec, inputs["base"], job)

    return runner.run(Stage("make_zero_adapter", spec, ModelRef, work, {"base": base}))


@stage_task("train_on_programs", "train_on_programs {spec.arm}/{spec.seed}")
def train_on_programs(runner: StageRunner, spec: CodeGRPOSpec, base: ModelRef, start: ModelRef) -> Outcome[ModelRef]:
    """Train an arm by GRPO on the verdicts of the sandbox."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.evaluation import program_training
        from polymlops.training import processes

        train = partial(program_training.train_in_sandbox, spec, inputs["base"], inputs["start"])
        return processes.in_processes(train, spec.grpo.processes, job)

    inputs = {"base": base, "start": start}
    return runner.run(Stage("train_on_programs", spec, ModelRef, work, inputs))
