"""Figures, tables, and what of them is written on MLflow runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from prefect.client.schemas.objects import State

from polymlops.config.slices import ReportSpec
from polymlops.records import Job
from polymlops.refs import ModelRef, Reference, ReportRef, ScoresRef
from polymlops.tracking.stages import Stage
from tasks.policy import StageRunner, as_state, stage_task

SCORES, ADAPTER = "scores/", "adapter/"


@stage_task("write_core_results")
def write_core_results(
    runner: StageRunner, spec: ReportSpec, scores: Mapping[str, ScoresRef], adapters: Mapping[str, ModelRef]
) -> State[ReportRef]:
    """Draw the figures and write the table over all arms, by their labels `arm/seed`."""

    def work(inputs: Mapping[str, Path], job: Job) -> Mapping[str, float]:
        from polymlops.report import core

        folders = {label: inputs[SCORES + label] for label in scores}
        return core.write_core_results(spec, folders, {label: inputs[ADAPTER + label] for label in adapters}, job)

    inputs: dict[str, Reference] = {SCORES + label: ref for label, ref in scores.items()}
    inputs |= {ADAPTER + label: ref for label, ref in adapters.items()}
    return as_state(runner.run(Stage("write_core_results", spec, ReportRef, work, inputs)))
