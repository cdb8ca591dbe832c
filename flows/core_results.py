"""Phase 1, core results: does polychromic fine-tuning serve people better than plain fine-tuning?"""

from __future__ import annotations

from prefect import flow

from flows.execution import Call, carried_out, tracked
from flows.foundations import lay_foundations
from flows.results import CoreArtifacts, CoreResults
from flows.run_pages import show_results
from flows.social import measure_core
from polymlops.config.schema import ExperimentConfig
from polymlops.config.slices import report_spec
from polymlops.tracking.roadmaps import log_results
from polymlops.tracking.stages import RunContext
from polymlops.tracking.tables import record_table
from tasks.reporting import write_core_results


@flow(name="core-results", flow_run_name="{config.name}", persist_result=False)
def core_results(config: ExperimentConfig, context: RunContext | None = None) -> CoreResults:
    """Train, sample and score every arm on social replies; alone, or as part of a roadmap."""
    with tracked(config, context, carry_out) as run:
        artifacts = carry_out(carried_out(run, config.execution), config)
        log_results(run, "core-results", artifacts.labelled(), artifacts.dataset)
        table = record_table(run, artifacts.report, report_spec(config).domain)
        folder = run.export(artifacts.report, f"{config.name}/core-results")
        show_results(run, config.name, {"social": artifacts.report}, {"social": table})
        return CoreResults(parent_run_id=run.parent_run_id, artifacts=artifacts, table=table, folder=folder)


def carry_out(call: Call, config: ExperimentConfig) -> CoreArtifacts:
    """The stages of the phase, in order."""
    ground = lay_foundations(call, config)
    social = measure_core(call, config, ground)
    report = call(write_core_results, report_spec(config), social.scores, ground.adapters)
    return CoreArtifacts(**dict(ground), samples=social.samples, scores=social.scores, report=report)
