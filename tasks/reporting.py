"""Figures and tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from polymlops.config.cross_domain import CrossDomainSpec
from polymlops.config.slices import ReportSpec
from polymlops.records import Job
from polymlops.refs import ModelRef, Reference, ReportRef, ScoresRef
from polymlops.tracking.stage import Outcome, Stage
from tasks.stage_task import StageRunner, stage_task

SCORES, ADAPTER = "scores/", "adapter/"


@stage_task("write_theoretical_depth")
def write_theoretical_depth(
    runner: StageRunner, spec: ReportSpec, scores: Mapping[str, ScoresRef], adapters: Mapping[str, ModelRef]
) -> Outcome[ReportRef]:
    """Draw the figures and write the table over GRPO's arms and their starts, by their labels `arm/seed`."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.report import depth

        return depth.write_theoretical_depth(spec, *_folders(inputs, scores, adapters), job)

    inputs = _labelled(scores, adapters)
    return runner.run(Stage("write_theoretical_depth", spec, ReportRef, work, inputs))


@stage_task("write_core_results")
def write_core_results(
    runner: StageRunner, spec: ReportSpec, scores: Mapping[str, ScoresRef], adapters: Mapping[str, ModelRef]
) -> Outcome[ReportRef]:
    """Draw the figures and write the table over all arms, by their labels `arm/seed`."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.report import core

        return core.write_core_results(spec, *_folders(inputs, scores, adapters), job)

    return runner.run(Stage("write_core_results", spec, ReportRef, work, _labelled(scores, adapters)))


@stage_task("write_cross_domain", "write_cross_domain over {spec.base}")
def write_cross_domain(
    runner: StageRunner, spec: CrossDomainSpec, scores: Mapping[str, ScoresRef]
) -> Outcome[ReportRef]:
    """Compare arms over domains, by labels `domain/arm/seed`."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.report import cross_domain

        return cross_domain.write_cross_domain(spec, inputs, job)

    return runner.run(Stage("write_cross_domain", spec, ReportRef, work, dict(scores)))


def _labelled(scores: Mapping[str, ScoresRef], adapters: Mapping[str, ModelRef]) -> dict[str, Reference]:
    """The references by the role that they have as an input."""
    inputs: dict[str, Reference] = {SCORES + label: ref for label, ref in scores.items()}
    return inputs | {ADAPTER + label: ref for label, ref in adapters.items()}


def _folders(
    inputs: Mapping[str, Path], scores: Iterable[str], adapters: Iterable[str]
) -> tuple[dict[str, Path], dict[str, Path]]:
    """Folders of the scores and of the adapters, by label."""
    return {label: inputs[SCORES + label] for label in scores}, {label: inputs[ADAPTER + label] for label in adapters}
