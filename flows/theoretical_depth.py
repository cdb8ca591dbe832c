"""Phase 2, theoretical depth: what a learned reward does to each start, and what of it is registered."""

from __future__ import annotations

from prefect import flow

from flows.execution import Call, in_process, tracked
from flows.foundations import lay_foundations, lay_reward, tune_by_reward
from flows.registration import register
from flows.results import DepthArtifacts, DepthResults
from polymlops.config.schema import ExperimentConfig
from polymlops.config.slices import depth_arms, depth_report_spec, sample_spec, score_spec
from polymlops.refs import SampleSetRef, ScoresRef
from polymlops.tracking.roadmaps import log_results
from polymlops.tracking.stages import RunContext
from polymlops.tracking.tables import record_table
from tasks.arms import ScoreSources, sample_arm, score_samples
from tasks.reporting import write_theoretical_depth


@flow(name="theoretical-depth", flow_run_name="{config.name}", persist_result=False)
def theoretical_depth(config: ExperimentConfig, context: RunContext | None = None) -> DepthResults:
    """Train a reward model, train on it from both starts, compare, register; alone, or as part of a roadmap."""
    with tracked(config, context) as run:
        artifacts = carry_out(in_process(run, config.execution.retries), config)
        log_results(run, "theoretical-depth", artifacts.labelled(), artifacts.dataset)
        table = record_table(run, artifacts.report, depth_report_spec(config).domain)
        folder = run.export(artifacts.report, f"{config.name}/theoretical-depth")
        models = register(run, config, artifacts)
        return DepthResults(
            parent_run_id=run.parent_run_id, artifacts=artifacts, table=table, folder=folder, models=models
        )


def carry_out(call: Call, config: ExperimentConfig) -> DepthArtifacts:
    """The stages of the phase, in order."""
    ground = lay_foundations(call, config)
    reward = lay_reward(call, config, ground)
    tuned = tune_by_reward(call, config, ground, reward)
    adapters = ground.adapters | tuned
    samples: dict[str, SampleSetRef] = {}
    scores: dict[str, ScoresRef] = {}
    for arm, seed in depth_arms(config):
        label = f"{arm}/{seed}"
        samples[label] = call(sample_arm, sample_spec(config, arm, seed), ground.base, adapters[label], ground.dataset)
        sources_of = ScoreSources(samples[label], ground.dataset, ground.base, reward)
        scores[label] = call(score_samples, score_spec(config, arm, seed), sources_of)
    report = call(write_theoretical_depth, depth_report_spec(config), scores, tuned)
    artifacts = {"dataset": ground.dataset, "base": ground.base, "adapters": adapters, "reward": reward}
    return DepthArtifacts(**artifacts, samples=samples, scores=scores, report=report)
