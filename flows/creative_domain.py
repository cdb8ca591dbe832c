"""Creative writing of every arm."""

from __future__ import annotations

from flows.calls import Call
from flows.results import DomainArtifacts, Foundations
from flows.sampling import drawn
from polymlops.config.creative import creative_prompts_spec, creative_score_spec
from polymlops.config.creative_slices import creative_arms, creative_report_spec, creative_sample_spec
from polymlops.config.schema import ExperimentConfig
from polymlops.refs import SampleSetRef, ScoresRef
from tasks.creative import (
    CreativeSources,
    TextSources,
    prepare_prompts,
    sample_texts,
    score_texts,
    write_creative_results,
)

VERDICTS = "verdicts.sqlite"


def measure_creative(call: Call, config: ExperimentConfig, ground: Foundations) -> DomainArtifacts:
    """Sample, judge, score and report every arm on one set of prompts; the judges' verdicts outlive a killed run."""
    assert config.creative is not None
    creative, verdicts = config.creative, config.output_dir.resolve() / VERDICTS
    prompts = call(prepare_prompts, creative_prompts_spec(creative))
    samples: dict[str, SampleSetRef] = {}
    scores: dict[str, ScoresRef] = {}
    for arm, seed in creative_arms(config):
        label = f"{arm}/{seed}"
        drawn_from = TextSources(ground.base, ground.adapters.get(label), prompts)
        spec, parts = creative_sample_spec(config, arm, seed), config.execution.sampling_shards
        samples[label] = drawn(call, parts, sample_texts, spec, drawn_from)
        sources = CreativeSources(samples[label], ground.base, creative, verdicts)
        scores[label] = call(score_texts, creative_score_spec(creative, arm, seed), sources)
    report = call(write_creative_results, creative_report_spec(config), scores)
    return DomainArtifacts(samples=samples, scores=scores, report=report)
