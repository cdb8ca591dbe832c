"""What each stage of the analyses may see of the config; see polymlops.config.slices."""

from __future__ import annotations

from polymlops.config.analysis import AdapterAnalysisSpec, MechanismSpec, TheorySpec
from polymlops.config.sampling import SamplingConfig
from polymlops.config.schema import ExperimentConfig

DECODING = {"temperature", "top_p", "top_k", "max_new_tokens", "seed"}


def adapter_analysis_spec(config: ExperimentConfig) -> AdapterAnalysisSpec:
    """Slice of the config that determines the analysis of the adapters' weights and layers."""
    decoding = SamplingConfig(**config.sampling.model_dump(include=DECODING))
    return AdapterAnalysisSpec(ablation=config.analysis.ablation, sampling=decoding)


def mechanism_spec(config: ExperimentConfig) -> MechanismSpec:
    """Slice of the config that determines what is read inside the arms."""
    return config.analysis.mechanism


def theory_spec(config: ExperimentConfig) -> TheorySpec:
    """Slice of the config that determines predictions beside measurements."""
    return config.analysis.theory
