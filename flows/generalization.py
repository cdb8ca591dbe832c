"""Phase 3, generalization: what the arms of phases 1 and 2 do on tasks that none of them was trained for."""

from __future__ import annotations

from prefect import flow

from flows.code_domain import measure_code, train_code_arms
from flows.creative_domain import measure_creative
from flows.execution import Call, carried_out, tracked
from flows.foundations import lay_foundations, lay_reward, tune_by_reward
from flows.results import DomainArtifacts, DomainResults, Foundations, GeneralizationArtifacts, GeneralizationResults
from flows.run_pages import show_results
from flows.social import measure_core, measure_social, with_adapters
from polymlops.config.code_slices import code_report_spec
from polymlops.config.creative_slices import creative_report_spec, cross_domain_specs
from polymlops.config.cross_domain import CrossDomainSpec
from polymlops.config.schema import ExperimentConfig
from polymlops.config.slices import ReportSpec, grpo_arms
from polymlops.refs import ModelRef, ReportRef
from polymlops.tracking.roadmaps import log_results
from polymlops.tracking.stages import RunContext
from polymlops.tracking.tables import record_table
from tasks.reporting import write_cross_domain

PHASE = "generalization"


@flow(name=PHASE, flow_run_name="{config.name}", persist_result=False)
def generalization(config: ExperimentConfig, context: RunContext | None = None) -> GeneralizationResults:
    """Sample and score every arm on code and creative writing, and compare domains; alone, or in a roadmap."""
    with tracked(config, context, carry_out) as run:
        artifacts = carry_out(carried_out(run, config.execution), config)
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


def carry_out(call: Call, config: ExperimentConfig) -> GeneralizationArtifacts:
    """The stages of the phase, in order."""
    ground = lay_foundations(call, config)
    ground = with_adapters(ground, tuned_adapters(call, config, ground))
    domains: dict[str, DomainArtifacts] = {}
    if config.code is not None:
        ground = with_adapters(ground, train_code_arms(call, config, ground.base))
        domains["code"] = measure_code(call, config, ground)
    if config.creative is not None:
        domains["creative"] = measure_creative(call, config, ground)
    specs = cross_domain_specs(config)
    if specs:
        domains["social"] = measure_home(call, config, ground)
    compared = {base: compare_domains(call, spec, domains) for base, spec in specs.items()}
    return GeneralizationArtifacts(**dict(ground), domains=domains, cross_domain=compared)


def tuned_adapters(call: Call, config: ExperimentConfig, ground: Foundations) -> dict[str, ModelRef]:
    """GRPO's adapters, where there is an arm that it trains."""
    return tune_by_reward(call, config, ground, lay_reward(call, config, ground)) if grpo_arms(config) else {}


def measure_home(call: Call, config: ExperimentConfig, ground: Foundations) -> DomainArtifacts:
    """The domain that the arms were trained on: the sample sets and scores of phases 1 and 2."""
    core = measure_core(call, config, ground)
    if not grpo_arms(config):
        return core
    depth = measure_social(call, config, ground, grpo_arms(config), lay_reward(call, config, ground))
    return DomainArtifacts(samples=core.samples | depth.samples, scores=core.scores | depth.scores)


def compare_domains(call: Call, spec: CrossDomainSpec, domains: dict[str, DomainArtifacts]) -> ReportRef:
    """What training on one domain did to the others."""
    compared = (spec.base, *spec.trained)
    scores = {
        f"{name}/{label}": ref
        for name in spec.domains
        for label, ref in domains[name].scores.items()
        if label.partition("/")[0] in compared
    }
    return call(write_cross_domain, spec, scores)


def report_specs(config: ExperimentConfig) -> dict[str, ReportSpec]:
    """Of the domains that this phase reports."""
    specs = {} if config.code is None else {"code": code_report_spec(config)}
    return specs if config.creative is None else specs | {"creative": creative_report_spec(config)}
