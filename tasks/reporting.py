"""Figures, tables, and what of them is written on MLflow runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from prefect.artifacts import create_link_artifact
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


@stage_task("publish_page")
def publish_page(context: RunContext, name: str) -> State[Path]:
    """Write the report of the roadmap's run, log it there, and link it. Not a stage: it shows what is stored by now."""
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
    uri = log_page(client, context.parent_run_id, path)
    _link(path, uri, name, [item.text for item in content.verdict.sentences])
    return Completed(message=str(path), data=path)


def _link(page: Path, uri: str, name: str, verdict: Sequence[str]) -> None:
    """A link artifact in Prefect, with the verdict beside it; its key takes letters, digits and dashes only."""
    said = "\n".join(f"- {text}" for text in verdict)
    create_link_artifact(  # type: ignore[call-arg]  # Prefect's decorator takes `_sync`, unseen
        link=page.as_uri(),
        link_text=page.name,
        key=f"report-{re.sub('[^a-z0-9]+', '-', name)}",
        description=f"{said}\n\nIn MLflow: {uri}",
        _sync=True,
    )


def _labelled(scores: Mapping[str, ScoresRef], adapters: Mapping[str, ModelRef]) -> dict[str, Reference]:
    """The references by the role that they have as an input."""
    inputs: dict[str, Reference] = {SCORES + label: ref for label, ref in scores.items()}
    return inputs | {ADAPTER + label: ref for label, ref in adapters.items()}


def _folders(
    inputs: Mapping[str, Path], scores: Iterable[str], adapters: Iterable[str]
) -> tuple[dict[str, Path], dict[str, Path]]:
    """Folders of the scores and of the adapters, by label."""
    return {label: inputs[SCORES + label] for label in scores}, {label: inputs[ADAPTER + label] for label in adapters}
