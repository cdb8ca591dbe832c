"""Figures, tables, and what of them is written on MLflow runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from prefect.client.schemas.objects import State
from prefect.states import Completed

from polymlops.config.cross_domain import CrossDomainSpec
from polymlops.config.slices import ReportSpec
from polymlops.records import Job
from polymlops.refs import ModelRef, Reference, ReportRef, ScoresRef
from polymlops.tracking.stages import RunContext, Stage
from tasks.policy import StageRunner, as_state, stage_task

SCORES, ADAPTER = "scores/", "adapter/"


@stage_task("write_theoretical_depth")
def write_theoretical_depth(
    runner: StageRunner, spec: ReportSpec, scores: Mapping[str, ScoresRef], adapters: Mapping[str, ModelRef]
) -> State[ReportRef]:
    """Draw the figures and write the table over GRPO's arms and their starts, by their labels `arm/seed`."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.report import depth

        return depth.write_theoretical_depth(spec, *_folders(inputs, scores, adapters), job)

    inputs = _labelled(scores, adapters)
    return as_state(runner.run(Stage("write_theoretical_depth", spec, ReportRef, work, inputs)))


@stage_task("write_core_results")
def write_core_results(
    runner: StageRunner, spec: ReportSpec, scores: Mapping[str, ScoresRef], adapters: Mapping[str, ModelRef]
) -> State[ReportRef]:
    """Draw the figures and write the table over all arms, by their labels `arm/seed`."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.report import core

        return core.write_core_results(spec, *_folders(inputs, scores, adapters), job)

    return as_state(runner.run(Stage("write_core_results", spec, ReportRef, work, _labelled(scores, adapters))))


@stage_task("write_cross_domain", "write_cross_domain over {spec.base}")
def write_cross_domain(runner: StageRunner, spec: CrossDomainSpec, scores: Mapping[str, ScoresRef]) -> State[ReportRef]:
    """Compare arms over domains, by labels `domain/arm/seed`."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.report import cross_domain

        return cross_domain.write_cross_domain(spec, inputs, job)

    return as_state(runner.run(Stage("write_cross_domain", spec, ReportRef, work, dict(scores))))


@dataclass(frozen=True, slots=True)
class PublishedPage:
    """The report: its file on this machine, its path among the artifacts of the roadmap's run, and what it says."""

    path: Path
    artifact: str
    verdict: tuple[str, ...]


@stage_task("publish_page")
def publish_page(context: RunContext, name: str) -> State[PublishedPage]:
    """Write the report of the roadmap's run and log it there. Not a stage: it shows what is stored by now."""
    from polymlops.report.page import write_page
    from polymlops.report.page_content import gather
    from polymlops.report.page_sources import page_sources
    from polymlops.tracking.pages import log_page
    from polymlops.tracking.roadmap_parts import read_roadmap
    from polymlops.tracking.store import open_store

    client = open_store(context.tracking_uri)
    content = gather(page_sources(read_roadmap(client, context.parent_run_id), context.fetch))
    folder = context.output_dir / "results" / name
    folder.mkdir(parents=True, exist_ok=True)
    path = write_page(content, folder / "report.html")
    artifact = log_page(client, context.parent_run_id, path)
    verdict = tuple(item.text for item in content.verdict.sentences)
    return Completed(message=str(path), data=PublishedPage(path, artifact, verdict))


def _labelled(scores: Mapping[str, ScoresRef], adapters: Mapping[str, ModelRef]) -> dict[str, Reference]:
    """The references by the role that they have as an input."""
    inputs: dict[str, Reference] = {SCORES + label: ref for label, ref in scores.items()}
    return inputs | {ADAPTER + label: ref for label, ref in adapters.items()}


def _folders(
    inputs: Mapping[str, Path], scores: Iterable[str], adapters: Iterable[str]
) -> tuple[dict[str, Path], dict[str, Path]]:
    """Folders of the scores and of the adapters, by label."""
    return {label: inputs[SCORES + label] for label in scores}, {label: inputs[ADAPTER + label] for label in adapters}
