"""The report page of a roadmap."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prefect.client.schemas.objects import State
from prefect.states import Completed

from polymlops.tracking.stages import RunContext
from tasks.policy import prefect_task


@dataclass(frozen=True, slots=True)
class PublishedPage:
    """The report: its file on this machine, its path among the artifacts of the roadmap's run, and what it says."""

    path: Path
    artifact: str
    verdict: tuple[str, ...]


@prefect_task("publish_page")
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
