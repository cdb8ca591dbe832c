"""Phase 2, theoretical depth: what a learned reward does to each start, and what of it is registered."""

from __future__ import annotations

from prefect import flow

from flows.execution import carried_out, tracked
from flows.phases import depth_stages
from flows.registration import register
from flows.results import DepthResults
from flows.run_pages import show_results
from polymlops.config.schema import ExperimentConfig
from polymlops.config.slices import depth_report_spec
from polymlops.tracking.roadmaps import log_results
from polymlops.tracking.stages import RunContext
from polymlops.tracking.tables import record_table


@flow(name="theoretical-depth", flow_run_name="{config.name}", persist_result=False)
def theoretical_depth(config: ExperimentConfig, context: RunContext | None = None) -> DepthResults:
    """Train a reward model, train on it from both starts, compare, analyse, register; alone, or in a roadmap."""
    with tracked(config, context, depth_stages) as run:
        artifacts = depth_stages(carried_out(run, config.execution), config)
        log_results(run, "theoretical-depth", artifacts.labelled(), artifacts.dataset)
        table = record_table(run, artifacts.report, depth_report_spec(config).domain)
        folder = run.export(artifacts.report, f"{config.name}/theoretical-depth")
        for name, analysis in artifacts.analyses.items():
            run.export(analysis, f"{config.name}/theoretical-depth/{name}")
        show_results(run, config.name, {"social": artifacts.report, **artifacts.analyses}, {"social": table})
        models = register(run, config, artifacts)
        return DepthResults(
            parent_run_id=run.parent_run_id, artifacts=artifacts, table=table, folder=folder, models=models
        )
