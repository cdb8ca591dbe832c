"""What trained arms look like from inside: their adapters, their mechanism, and theory beside what they did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from polymlops.config.analysis import AdapterAnalysisSpec, MechanismSpec, TheorySpec
from polymlops.records import Job
from polymlops.refs import DatasetRef, ModelRef, Reference, ReportRef, SampleSetRef, ScoresRef
from polymlops.tracking.stage import Outcome, Stage
from tasks.stage_task import StageRunner, stage_task

if TYPE_CHECKING:
    from polymlops.report.analysis_files import AnalysisFolders


@dataclass(frozen=True, slots=True)
class AnalysisSources:
    """What the analyses read; adapters, samples and scores by `arm/seed`."""

    base: ModelRef
    dataset: DatasetRef
    adapters: Mapping[str, ModelRef]
    samples: Mapping[str, SampleSetRef]
    scores: Mapping[str, ScoresRef]

    def named(self, *kinds: str) -> dict[str, Reference]:
        """The references of these kinds by the role that they have as an input: `samples/baseline/42`."""
        return {f"{kind}/{label}": ref for kind in kinds for label, ref in getattr(self, kind).items()}


@stage_task("analyse_adapters")
def analyse_adapters(runner: StageRunner, spec: AdapterAnalysisSpec, sources: AnalysisSources) -> Outcome[ReportRef]:
    """Say what adapters changed, weight by weight, and which layers carry diversity."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.report import adapter_analysis

        return adapter_analysis.analyse_adapters(spec, _folders(inputs), job)

    inputs = {"base": sources.base, "dataset": sources.dataset, **sources.named("adapters")}
    return runner.run(Stage("analyse_adapters", spec, ReportRef, work, inputs))


@stage_task("analyse_mechanism")
def analyse_mechanism(runner: StageRunner, spec: MechanismSpec, sources: AnalysisSources) -> Outcome[ReportRef]:
    """Say what changed inside the model: attention, hidden states, depth, gradients."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.report import mechanism

        return mechanism.analyse_mechanism(spec, _folders(inputs), job)

    inputs = {"base": sources.base, "dataset": sources.dataset, **sources.named("adapters", "samples", "scores")}
    return runner.run(Stage("analyse_mechanism", spec, ReportRef, work, inputs))


@stage_task("check_theory")
def check_theory(runner: StageRunner, spec: TheorySpec, sources: AnalysisSources) -> Outcome[ReportRef]:
    """Put the predictions of theory beside what was measured."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.report import theory

        return theory.check_theory(spec, _of("scores", inputs), _of("adapters", inputs), job)

    return runner.run(Stage("check_theory", spec, ReportRef, work, sources.named("adapters", "scores")))


def _folders(inputs: Mapping[str, Path]) -> AnalysisFolders:
    from polymlops.report.analysis_files import AnalysisFolders

    adapters, samples, scores = (_of(kind, inputs) for kind in ("adapters", "samples", "scores"))
    return AnalysisFolders(inputs["base"], inputs["dataset"], adapters, samples, scores)


def _of(kind: str, inputs: Mapping[str, Path]) -> dict[str, Path]:
    """The folders of one kind, by label."""
    return {role.removeprefix(f"{kind}/"): path for role, path in inputs.items() if role.startswith(f"{kind}/")}
