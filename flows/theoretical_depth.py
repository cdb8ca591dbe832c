"""Phase 2, theoretical depth: what a learned reward does to each start, and what of it is registered."""

from __future__ import annotations

from prefect import flow

from flows.execution import Call, carried_out, tracked
from flows.foundations import lay_foundations, lay_reward, tune_by_reward
from flows.registration import register
from flows.results import DepthArtifacts, DepthResults
from flows.run_pages import show_results
from flows.social import measure_social, with_adapters
from polymlops.config.analysis_slices import adapter_analysis_spec, mechanism_spec, theory_spec
from polymlops.config.schema import ExperimentConfig
from polymlops.config.slices import depth_arms, depth_report_spec
from polymlops.refs import ReportRef
from polymlops.tracking.roadmaps import log_results
from polymlops.tracking.stages import RunContext
from polymlops.tracking.tables import record_table
from tasks.analysis import AnalysisSources, analyse_adapters, analyse_mechanism, check_theory
from tasks.reporting import write_theoretical_depth


@flow(name="theoretical-depth", flow_run_name="{config.name}", persist_result=False)
def theoretical_depth(config: ExperimentConfig, context: RunContext | None = None) -> DepthResults:
    """Train a reward model, train on it from both starts, compare, analyse, register; alone, or in a roadmap."""
    with tracked(config, context, carry_out) as run:
        artifacts = carry_out(carried_out(run, config.execution), config)
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


def carry_out(call: Call, config: ExperimentConfig) -> DepthArtifacts:
    """The stages of the phase, in order."""
    ground = lay_foundations(call, config)
    reward = lay_reward(call, config, ground)
    tuned = tune_by_reward(call, config, ground, reward)
    ground = with_adapters(ground, tuned)
    social = measure_social(call, config, ground, depth_arms(config), reward)
    report = call(write_theoretical_depth, depth_report_spec(config), social.scores, tuned)
    compared = {label: ground.adapters[label] for label in social.samples}
    sources = AnalysisSources(ground.base, ground.dataset, compared, social.samples, social.scores)
    return DepthArtifacts(
        **dict(ground),
        reward=reward,
        samples=social.samples,
        scores=social.scores,
        report=report,
        analyses=analyse(call, config, sources),
    )


def analyse(call: Call, config: ExperimentConfig, sources: AnalysisSources) -> dict[str, ReportRef]:
    """Where diversity lives, what changed inside, and what theory says of it."""
    return {
        "adapters": call(analyse_adapters, adapter_analysis_spec(config), sources),
        "mechanism": call(analyse_mechanism, mechanism_spec(config), sources),
        "theory": call(check_theory, theory_spec(config), sources),
    }
