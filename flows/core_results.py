"""Phase 1, core results: does polychromic fine-tuning serve people better than plain fine-tuning?"""

from __future__ import annotations

from prefect import flow

from flows.execution import Call, in_process, tracked
from flows.results import CoreArtifacts, CoreResults
from polymlops.config.schema import ExperimentConfig
from polymlops.config.slices import adapter_spec, all_arms, report_spec, sample_spec, score_spec, trained_arms
from polymlops.refs import ModelRef, SampleSetRef, ScoresRef
from polymlops.tracking.roadmaps import log_results
from polymlops.tracking.stages import RunContext
from polymlops.tracking.tables import record_table
from tasks.arms import sample_arm, score_samples, train_adapter
from tasks.preparation import build_base_model, prepare_dataset
from tasks.reporting import write_core_results


@flow(name="core-results", flow_run_name="{config.name}", persist_result=False)
def core_results(config: ExperimentConfig, context: RunContext | None = None) -> CoreResults:
    """Train, sample and score every arm on social replies; alone, or as part of a roadmap."""
    with tracked(config, context) as run:
        artifacts = carry_out(in_process(run, config.execution.retries), config)
        log_results(run, artifacts.labelled(), artifacts.dataset)
        table = record_table(run, artifacts.report, report_spec(config).domain)
        folder = run.export(artifacts.report, f"{config.name}/core-results")
        return CoreResults(parent_run_id=run.parent_run_id, artifacts=artifacts, table=table, folder=folder)


def carry_out(call: Call, config: ExperimentConfig) -> CoreArtifacts:
    """The stages of the phase, in order."""
    dataset = call(prepare_dataset, config.data)
    base = call(build_base_model, config.base_model, dataset)
    adapters: dict[str, ModelRef] = {}
    for arm, seed in trained_arms(config):
        adapters[f"{arm}/{seed}"] = call(train_adapter, adapter_spec(config, arm, seed), base, dataset)
    samples: dict[str, SampleSetRef] = {}
    scores: dict[str, ScoresRef] = {}
    for arm, seed in all_arms(config):
        label = f"{arm}/{seed}"
        samples[label] = call(sample_arm, sample_spec(config, arm, seed), base, adapters.get(label), dataset)
        scores[label] = call(score_samples, score_spec(config, arm, seed), samples[label], dataset, base)
    report = call(write_core_results, report_spec(config), scores, adapters)
    return CoreArtifacts(dataset=dataset, base=base, adapters=adapters, samples=samples, scores=scores, report=report)
