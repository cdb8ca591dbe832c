"""Phase 4, novel metrics: what users get from every arm in every domain, whoever picks; and the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from prefect import flow

from flows.execution import Call, carried_out, tracked
from flows.results import NovelArtifacts, NovelResults, StoredResults
from flows.run_pages import show_report, show_results
from flows.stored import missing_in, stored_results
from polymlops.config.novel_slices import novel_spec, social_arms
from polymlops.config.schema import ExperimentConfig
from polymlops.config.slices import score_spec
from polymlops.refs import ReportRef, ScoresRef
from polymlops.tracking.novel_tables import record_novel_table
from polymlops.tracking.roadmaps import log_results
from polymlops.tracking.stages import RunContext
from polymlops.tracking.tables import TableRow
from tasks.arms import ScoreSources, score_samples
from tasks.novel import measure_domain
from tasks.policy import result_of, retrying
from tasks.reporting import PublishedPage, publish_page


@flow(name="novel-metrics", flow_run_name="{config.name}", persist_result=False)
def novel_metrics(config: ExperimentConfig, context: RunContext | None = None) -> NovelResults:
    """Measure what is stored, sample nothing, and write the report; alone, or as part of a roadmap."""
    stored = stored_results(config)
    with tracked(config, context, lambda call, config: carry_out(call, config, stored)) as run:
        artifacts = carry_out(carried_out(run, config.execution), config, stored)
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


def carry_out(call: Call, config: ExperimentConfig, stored: StoredResults) -> NovelArtifacts:
    """The stages of the phase, in order."""
    scores = {"social": score_with_reward(call, config, stored)}
    reports: dict[str, ReportRef] = {}
    for domain, sets in stored.domains.items():
        spec = novel_spec(config, domain, missing_in(stored, domain))
        reports[domain] = call(measure_domain, domain, spec, scores.get(domain, sets.scores), sets.samples)
    return NovelArtifacts(dataset=stored.dataset, scores=scores["social"], reports=reports)


def score_with_reward(call: Call, config: ExperimentConfig, stored: StoredResults) -> dict[str, ScoresRef]:
    """Scores of every social arm by the reward model too, where there is one, so that all arms have that selector."""
    sets = stored.domains.get("social")
    if sets is None or stored.reward is None:
        return dict(sets.scores) if sets is not None else {}
    scores: dict[str, ScoresRef] = {}
    for arm, seed in social_arms(config):
        samples = sets.samples.get(f"{arm}/{seed}")
        if samples is not None:
            sources = ScoreSources(samples, stored.dataset, stored.base, stored.reward)
            scores[f"{arm}/{seed}"] = call(score_samples, score_spec(config, arm, seed), sources)
    return scores
