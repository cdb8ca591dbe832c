"""Plans, without Prefect: nothing that a plan needs is slow to import."""

from __future__ import annotations

from pathlib import Path

import tasks
from flows.calls import Call, Planned, Walk
from flows.phases import novel_stages
from flows.results import NovelArtifacts
from flows.stored import named_results
from polymlops.config.schema import ExperimentConfig
from polymlops.tracking.fingerprint import folder_fingerprint
from polymlops.tracking.plans import PlanContext, plan_context


def planned(config: ExperimentConfig, walk: Walk) -> PlanContext:
    """The stages that a walk asks for, each with whether the ledger has it; starts nothing and writes nothing.

    Raises:
        TrackingError: the tracking store cannot be reached.
    """
    context = plan_context(config)
    walk(Planned(context), config)
    return context


def all_stages(call: Call, config: ExperimentConfig) -> NovelArtifacts:
    """Of the roadmap: phase 4 stands on what phases 1 to 3 leave."""
    return novel_stages(call, config, named_results(call, config))


def spent_so_far(config: ExperimentConfig) -> float:
    """Dollars that the roadmap of a config has cost in all its attempts; 0 before the first.

    Raises:
        TrackingError: the tracking store cannot be reached.
    """
    context = plan_context(config)
    if context.client is None or context.experiment_id is None:
        return 0.0
    from polymlops.tracking.roadmaps import spent_by

    return spent_by(config, context.client, context.experiment_id, source_of_stages())


def source_of_stages() -> str:
    """Fingerprint of everything that stages use."""
    return folder_fingerprint(Path(tasks.__file__).parent)
