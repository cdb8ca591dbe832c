"""The roadmap: the phases in order, in one MLflow run."""

from __future__ import annotations

from prefect import flow

from flows.core_results import core_results
from flows.execution import planned, tracked
from flows.generalization import generalization
from flows.novel_metrics import carry_out as carry_out_novel_metrics
from flows.novel_metrics import novel_metrics
from flows.results import RoadmapResults
from flows.stored import named_results
from flows.theoretical_depth import theoretical_depth
from polymlops.config.schema import ExperimentConfig
from polymlops.config.slices import grpo_arms
from polymlops.tracking.plans import PlannedStage, plan_context


@flow(name="roadmap", flow_run_name="{config.name}", persist_result=False)
def roadmap(config: ExperimentConfig) -> RoadmapResults:
    """Run the phases that there are."""
    with tracked(config, None) as run:
        core = core_results(config, run)
        depth = theoretical_depth(config, run) if grpo_arms(config) else None
        domains = generalization(config, run)
        novel = novel_metrics(config, run)
        phases = {"core": core, "depth": depth, "generalization": domains, "novel": novel}
        return RoadmapResults(parent_run_id=run.parent_run_id, **phases)


def plan_roadmap(config: ExperimentConfig) -> list[PlannedStage]:
    """The stages in order, each with whether the ledger has it; starts nothing and writes nothing.

    Raises:
        TrackingError: the tracking store cannot be reached.
    """
    context = plan_context(config)
    carry_out_novel_metrics(planned(context), config, named_results(planned(context), config))
    return context.stages
