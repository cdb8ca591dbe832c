"""The code domain of every arm, and of arms that are trained on the tests of programs."""

from __future__ import annotations

from flows.calls import Call
from flows.results import DomainArtifacts, Foundations
from flows.sampling import drawn
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
from polymlops.refs import ModelRef, SampleSetRef, ScoresRef
from tasks.coding import make_zero_adapter, sample_programs, score_programs, train_on_programs, write_code_results


def train_code_arms(call: Call, config: ExperimentConfig, base: ModelRef) -> dict[str, ModelRef]:
    """Adapters trained on the tests of programs, by `arm/seed`; those of one seed start alike."""
    adapters: dict[str, ModelRef] = {}
    for arm, seed in code_tuned_arms(config):
        start = call(make_zero_adapter, zero_adapter_spec(config, seed), base)
        adapters[f"{arm}/{seed}"] = call(train_on_programs, code_grpo_spec(config, arm, seed), base, start)
    return adapters


def measure_code(call: Call, config: ExperimentConfig, ground: Foundations) -> DomainArtifacts:
    """Sample, execute, score and report every arm."""
    samples: dict[str, SampleSetRef] = {}
    scores: dict[str, ScoresRef] = {}
    for arm, seed in code_arms(config):
        label = f"{arm}/{seed}"
        adapter = ground.adapters.get(label)
        spec, parts = code_sample_spec(config, arm, seed), config.execution.sampling_shards
        samples[label] = drawn(call, parts, sample_programs, spec, ground.base, adapter)
        scores[label] = call(score_programs, code_score_spec(config, arm, seed), samples[label])
    report = call(write_code_results, code_report_spec(config), scores)
    return DomainArtifacts(samples=samples, scores=scores, report=report)
