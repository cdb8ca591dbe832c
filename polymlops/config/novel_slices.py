"""What the stages of phase 4 may see of the config, domain by domain; see polymlops.config.slices."""

from __future__ import annotations

from collections.abc import Iterable

from polymlops.config.code_slices import code_arms
from polymlops.config.creative_slices import creative_arms
from polymlops.config.novel import NovelSpec
from polymlops.config.sampling import SamplingConfig
from polymlops.config.schema import Arm, ExperimentConfig
from polymlops.config.slices import all_arms, grpo_arms

MOST_SHOWN = 10


def social_arms(config: ExperimentConfig) -> list[tuple[Arm, int]]:
    """Every (arm, seed) that phases 1 and 2 sample on social replies."""
    return [*all_arms(config), *grpo_arms(config)]


def domain_arms(config: ExperimentConfig, domain: str) -> list[tuple[str, int]]:
    """Every (arm, seed) of a domain."""
    if domain == "code":
        return code_arms(config)
    return creative_arms(config) if domain == "creative" else [*social_arms(config)]


def novel_spec(config: ExperimentConfig, domain: str, missing: Iterable[str] = ()) -> NovelSpec:
    """Slice of the config that determines the novel metrics of a domain; `missing` says what was not stored."""
    sampling, ks = _of_domain(config, domain)
    shown = max(2, min(MOST_SHOWN, max(ks)))
    pairs = domain_arms(config, domain)
    return NovelSpec(
        arms=tuple(dict.fromkeys(arm for arm, _ in pairs)),
        ks=tuple(sorted({*ks, shown})),
        shown=shown,
        threshold=config.novel.threshold,
        selectors=config.novel.selectors,
        decodings={f"{arm}/{seed}": decoding_text(sampling) for arm, seed in pairs},
        missing=tuple(missing),
        resamples=config.evaluation.resamples,
    )


def decoding_text(sampling: SamplingConfig) -> str:
    """How candidates were drawn, for people."""
    top = f"top_p {sampling.top_p:g}, top_k {sampling.top_k}"
    return f"{sampling.n} at temperature {sampling.temperature:g}, {top}, at most {sampling.max_new_tokens} tokens"


def _of_domain(config: ExperimentConfig, domain: str) -> tuple[SamplingConfig, tuple[int, ...]]:
    measured = {"code": config.code, "creative": config.creative}.get(domain)
    if measured is None:
        return config.sampling, config.evaluation.ks
    return measured.sampling, measured.scoring.ks
