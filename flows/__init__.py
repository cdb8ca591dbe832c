"""The flows, for Python: each takes a config and returns a record. Importing this imports neither Prefect nor torch.

Without PREFECT_API_URL in the environment, a Prefect API is started for the call and stopped after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flows.results import CoreResults, RoadmapResults
    from polymlops.config.schema import ExperimentConfig

__all__ = ["run_core_results", "run_roadmap"]


def run_core_results(config: ExperimentConfig) -> CoreResults:
    """Phase 1: data, base model, adapters, the four baselines, figures and table.

    Raises:
        UsageError: the config asks for what cannot be done.
        StageError: a stage failed; what was finished is kept, and the same call goes on from there.
    """
    from flows.services import services

    with services(config) as prefect:
        from flows.core_results import core_results

        return prefect.settled(core_results(config, return_state=True))


def run_roadmap(config: ExperimentConfig) -> RoadmapResults:
    """All phases in order, in one MLflow run.

    Raises:
        UsageError: the config asks for what cannot be done.
        StageError: a stage failed; what was finished is kept, and the same call goes on from there.
    """
    from flows.services import services

    with services(config) as prefect:
        from flows.roadmap import roadmap

        return prefect.settled(roadmap(config, return_state=True))
