"""The roadmap: every phase in order, in one MLflow run."""

from __future__ import annotations

from prefect import flow

from flows.core_results import carry_out as carry_out_core_results
from flows.core_results import core_results
from flows.execution import planned, tracked
from flows.results import RoadmapResults
from polymlops.config.schema import ExperimentConfig
from polymlops.tracking.plans import PlannedStage, plan_context


@flow(name="roadmap", flow_run_name="{config.name}", persist_result=False)
def roadmap(config: ExperimentConfig) -> RoadmapResults:
    """Run the phases that there are."""
    with tracked(config, None) as run:
        return RoadmapResults(parent_run_id=run.parent_run_id, core=core_results(config, run))


def plan_roadmap(config: ExperimentConfig) -> list[PlannedStage]:
    """The stages in order, each with whether the ledger has it; starts nothing and writes nothing.

    Raises:
        TrackingError: the tracking store cannot be reached.
    """
    context = plan_context(config)
    carry_out_core_results(planned(context), config)
    return context.stages
