"""The roadmap: the phases in order, in one MLflow run."""

from __future__ import annotations

from prefect import flow

from flows.core_results import core_results
from flows.execution import tracked
from flows.generalization import generalization
from flows.novel_metrics import novel_metrics
from flows.planning import all_stages
from flows.results import RoadmapResults
from flows.run_pages import show_report
from flows.theoretical_depth import theoretical_depth
from polymlops.config.schema import ExperimentConfig
from polymlops.config.slices import grpo_arms


@flow(name="roadmap", flow_run_name="{config.name}", persist_result=False)
def roadmap(config: ExperimentConfig) -> RoadmapResults:
    """Run the phases that there are."""
    with tracked(config, None, all_stages) as run:
        core = core_results(config, run)
        depth = theoretical_depth(config, run) if grpo_arms(config) else None
        domains = generalization(config, run)
        novel = novel_metrics(config, run)
        show_report(run, config.name, novel)
        phases = {"core": core, "depth": depth, "generalization": domains, "novel": novel}
        return RoadmapResults(parent_run_id=run.parent_run_id, **phases)
