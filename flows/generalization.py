"""Phase 3, generalization: what the arms of phases 1 and 2 do on tasks that none of them was trained for."""

from __future__ import annotations

from prefect import flow

from flows.execution import Call, in_process, tracked
from flows.foundations import lay_foundations, lay_reward, tune_by_reward
from flows.results import DomainArtifacts, Foundations, GeneralizationArtifacts, GeneralizationResults
from polymlops.config.code_slices import (
    code_arms,
    code_grpo_spec,
    code_report_spec,
    code_sample_spec,
    code_score_spec,
    code_tuned_arms,
    zero_adapter_spec,
)
from polymlops.config.schema import ExperimentConfig
from polymlops.config.slices import grpo_arms
from polymlops.refs import ModelRef, SampleSetRef, ScoresRef
from polymlops.tracking.roadmaps import log_results
from polymlops.tracking.stages import RunContext
from polymlops.tracking.tables import record_table
from tasks.coding import (
    make_zero_adapter,
    sample_programs,
    score_programs,
    train_on_programs,
    write_code_results,
)


@flow(name="generalization", flow_run_name="{config.name}", persist_result=False)
def generalization(config: ExperimentConfig, context: RunContext | None = None) -> GeneralizationResults:
    """Sample, execute and score every arm on code; alone, or as part of a roadmap."""
    with tracked(config, context) as run:
        artifacts = carry_out(in_process(run, config.execution.retries), config)
        log_results(run, "generalization", artifacts.labelled(), artifacts.dataset)
        table = record_table(run, artifacts.code.report, code_report_spec(config).domain)
        folder = run.export(artifacts.code.report, f"{config.name}/generalization/code")
        return GeneralizationResults(parent_run_id=run.parent_run_id, artifacts=artifacts, table=table, folder=folder)


def carry_out(call: Call, config: ExperimentConfig) -> GeneralizationArtifacts:
    """The stages of the phase, in order."""
    ground = lay_foundations(call, config)
    adapters = ground.adapters | tuned_adapters(call, config, ground) | train_code_arms(call, config, ground.base)
    code = carry_out_code(call, config, ground.base, adapters)
    return GeneralizationArtifacts(dataset=ground.dataset, base=ground.base, adapters=adapters, code=code)


def tuned_adapters(call: Call, config: ExperimentConfig, ground: Foundations) -> dict[str, ModelRef]:
    """GRPO's adapters, where there is an arm that it trains."""
    return tune_by_reward(call, config, ground, lay_reward(call, config, ground)) if grpo_arms(config) else {}


def train_code_arms(call: Call, config: ExperimentConfig, base: ModelRef) -> dict[str, ModelRef]:
    """Adapters trained on the tests of programs, by `arm/seed`; those of one seed start alike."""
    adapters: dict[str, ModelRef] = {}
    for arm, seed in code_tuned_arms(config):
        start = call(make_zero_adapter, zero_adapter_spec(config, seed), base)
        adapters[f"{arm}/{seed}"] = call(train_on_programs, code_grpo_spec(config, arm, seed), base, start)
    return adapters


def carry_out_code(
    call: Call, config: ExperimentConfig, base: ModelRef, adapters: dict[str, ModelRef]
) -> DomainArtifacts:
    """The code domain of every arm."""
    samples: dict[str, SampleSetRef] = {}
    scores: dict[str, ScoresRef] = {}
    for arm, seed in code_arms(config):
        label = f"{arm}/{seed}"
        samples[label] = call(sample_programs, code_sample_spec(config, arm, seed), base, adapters.get(label))
        scores[label] = call(score_programs, code_score_spec(config, arm, seed), samples[label])
    report = call(write_code_results, code_report_spec(config), scores)
    return DomainArtifacts(samples=samples, scores=scores, report=report)
