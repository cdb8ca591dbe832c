"""Phase 3, generalization: what the arms of phases 1 and 2 do on tasks that none of them was trained for."""

from __future__ import annotations

from prefect import flow

from flows.execution import carried_out, tracked
from flows.phases import generalization_stages
from flows.results import DomainResults, GeneralizationResults
from flows.run_pages import show_results
from polymlops.config.code_slices import code_report_spec
from polymlops.config.creative_slices import creative_report_spec
from polymlops.config.schema import ExperimentConfig
from polymlops.config.slices import ReportSpec
from polymlops.tracking.roadmaps import log_results
from polymlops.tracking.stages import RunContext
from polymlops.tracking.tables import record_table

PHASE = "generalization"


@flow(name=PHASE, flow_run_name="{config.name}", persist_result=False)
def generalization(config: ExperimentConfig, context: RunContext | None = None) -> GeneralizationResults:
    """Sample and score every arm on code and creative writing, and compare domains; alone, or in a roadmap."""
    with tracked(config, context, generalization_stages) as run:
        artifacts = generalization_stages(carried_out(run, config.execution), config)
        log_results(run, PHASE, artifacts.labelled(), artifacts.dataset)
        folder = f"{config.name}/{PHASE}"
        tables = {}
        for name, spec in report_specs(config).items():
            report = artifacts.domains[name].report
            assert report is not None
            table = record_table(run, report, spec.domain)
            tables[name] = DomainResults(table=table, folder=run.export(report, f"{folder}/{name}"))
        shown = {name: domain.table for name, domain in tables.items()}
        show_results(run, config.name, artifacts.reports(), shown)
        return GeneralizationResults(
            parent_run_id=run.parent_run_id,
            artifacts=artifacts,
            domains=tables,
            cross_domain={
                base: run.export(ref, f"{folder}/cross_domain_over_{base}")
                for base, ref in artifacts.cross_domain.items()
            },
        )


def report_specs(config: ExperimentConfig) -> dict[str, ReportSpec]:
    """Of the domains that this phase reports."""
    specs = {} if config.code is None else {"code": code_report_spec(config)}
    return specs if config.creative is None else specs | {"creative": creative_report_spec(config)}
