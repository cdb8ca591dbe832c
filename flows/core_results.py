"""Phase 1, core results: does polychromic fine-tuning serve people better than plain fine-tuning?"""

from __future__ import annotations

from prefect import flow

from flows.execution import carried_out, tracked
from flows.phases import core_stages
from flows.results import CoreResults
from flows.run_pages import show_results
from polymlops.config.schema import ExperimentConfig
from polymlops.config.slices import report_spec
from polymlops.tracking.roadmaps import log_results
from polymlops.tracking.stages import RunContext
from polymlops.tracking.tables import record_table


@flow(name="core-results", flow_run_name="{config.name}", persist_result=False)
def core_results(config: ExperimentConfig, context: RunContext | None = None) -> CoreResults:
    """Train, sample and score every arm on social replies; alone, or as part of a roadmap."""
    with tracked(config, context, core_stages) as run:
        artifacts = core_stages(carried_out(run, config.execution), config)
        log_results(run, "core-results", artifacts.labelled(), artifacts.dataset)
        table = record_table(run, artifacts.report, report_spec(config).domain)
        folder = run.export(artifacts.report, f"{config.name}/core-results")
        show_results(run, config.name, {"social": artifacts.report}, {"social": table})
        return CoreResults(parent_run_id=run.parent_run_id, artifacts=artifacts, table=table, folder=folder)
