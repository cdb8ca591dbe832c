"""What each stage of creative writing, and the analysis over domains, may see of the config; see config.slices."""

from __future__ import annotations

from polymlops.config.cross_domain import CrossDomainSpec, DomainView
from polymlops.config.schema import ExperimentConfig
from polymlops.config.slices import ReportSpec, SampleSpec, all_arms, grpo_arms, trained_arms

START, PLAIN = "zero_shot", "baseline"


def creative_arms(config: ExperimentConfig) -> list[tuple[str, int]]:
    """Every (arm, seed) of the domain: those of phases 1 and 2 but `few_shot`, for there are no examples."""
    return [(arm, seed) for arm, seed in [*all_arms(config), *grpo_arms(config)] if arm != "few_shot"]


def creative_sample_spec(config: ExperimentConfig, arm: str, seed: int) -> SampleSpec:
    """Slice of the config that determines a sample set of creative writing."""
    assert config.creative is not None
    return SampleSpec(arm=arm, seed=seed, domain="creative", sampling=config.creative.sampling)


def creative_report_spec(config: ExperimentConfig) -> ReportSpec:
    """Slice of the config that determines the figures and table of creative writing."""
    assert config.creative is not None
    arms = tuple(dict.fromkeys(arm for arm, _ in creative_arms(config)))
    ks, resamples = config.creative.scoring.ks, config.evaluation.resamples
    return ReportSpec(arms=arms, domain="creative", ks=ks, resamples=resamples)


def cross_domain_specs(config: ExperimentConfig) -> dict[str, CrossDomainSpec]:
    """Slices of the config that determine the analyses over domains, by the arm that gains are measured from.

    From the base model: what training changed. From plain fine-tuning: what the other objectives changed beyond it.
    None where there is nothing to compare: one domain, or no other arm that is trained.
    """
    trained = tuple(dict.fromkeys(arm for arm, _ in [*trained_arms(config), *grpo_arms(config)]))
    views, ks = _views(config)
    if len(views) < 2:
        return {}
    shared = {"domains": views, "ks": ks, "resamples": config.evaluation.resamples}
    others = {base: tuple(arm for arm in trained if arm != base) for base in (START, PLAIN) if base in config.arms}
    return {base: CrossDomainSpec(base=base, trained=arms, **shared) for base, arms in others.items() if arms}


def _views(config: ExperimentConfig) -> tuple[dict[str, DomainView], tuple[int, ...]]:
    """The domains, and the numbers of candidates shown that all of them have."""
    views, ks = {"social": DomainView(sampling=config.sampling)}, set(config.evaluation.ks)
    if config.code is not None:
        # A program's quality is 1 or 0: its mean is pass@1.
        view = DomainView(sampling=config.code.sampling, quality="pass_at_1", diversity="ast_diversity")
        views["code"], ks = view, ks & set(config.code.scoring.ks)
    if config.creative is not None:
        views["creative"], ks = DomainView(sampling=config.creative.sampling), ks & set(config.creative.scoring.ks)
    return views, tuple(sorted(ks | {1}))
