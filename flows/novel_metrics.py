"""Phase 4, novel metrics: what users get from every arm in every domain, whoever picks; and the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from prefect import flow

from flows.execution import carried_out, tracked
from flows.phases import novel_stages
from flows.results import NovelResults
from flows.run_pages import show_report, show_results
from flows.stored import stored_results
from polymlops.config.schema import ExperimentConfig
from polymlops.tracking.novel_tables import record_novel_table
from polymlops.tracking.records import TableRow
from polymlops.tracking.roadmaps import log_results
from polymlops.tracking.stages import RunContext
from tasks.page import PublishedPage, publish_page
from tasks.policy import result_of, retrying


@flow(name="novel-metrics", flow_run_name="{config.name}", persist_result=False)
def novel_metrics(config: ExperimentConfig, context: RunContext | None = None) -> NovelResults:
    """Measure what is stored, sample nothing, and write the report; alone, or as part of a roadmap."""
    stored = stored_results(config, context)
    with tracked(config, context, lambda call, config: novel_stages(call, config, stored)) as run:
        artifacts = novel_stages(carried_out(run, config.execution), config, stored)
        log_results(run, "novel-metrics", artifacts.labelled(), artifacts.dataset)
        table = record_novel_table(run, artifacts.reports)
        for domain, report in artifacts.reports.items():
            folder = run.export(report, f"{config.name}/novel-metrics/{domain}").parent
        task = retrying(publish_page, config.execution.retries)
        page = cast(PublishedPage, result_of(task(run, config.name, return_state=True)))
        show_results(run, config.name, artifacts.reports, by_domain(table))
        results = NovelResults(
            parent_run_id=run.parent_run_id,
            artifacts=artifacts,
            table=table,
            folder=folder,
            page=page.path,
            page_artifact=page.artifact,
            verdict=page.verdict,
            missing=stored.missing,
        )
        show_report(run, config.name, results)
        return results


def by_domain(table: Sequence[TableRow]) -> dict[str, list[TableRow]]:
    """The rows of each domain, whose name is in front of their metrics."""
    domains = dict.fromkeys(row.metric.partition("/")[0] for row in table)
    return {domain: [row for row in table if row.metric.startswith(f"{domain}/")] for domain in domains}
