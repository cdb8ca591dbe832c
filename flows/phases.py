"""What the phases consist of: their stages, in order. Prefect is not needed to say that, nor to plan it."""

from __future__ import annotations

from flows.calls import Call
from flows.code_domain import measure_code, train_code_arms
from flows.creative_domain import measure_creative
from flows.foundations import lay_foundations, lay_reward, tune_by_reward
from flows.results import (
    CoreArtifacts,
    DepthArtifacts,
    DomainArtifacts,
    Foundations,
    GeneralizationArtifacts,
    NovelArtifacts,
    StoredResults,
)
from flows.social import measure_core, measure_social, with_adapters
from polymlops.config.analysis_slices import adapter_analysis_spec, mechanism_spec, theory_spec
from polymlops.config.creative_slices import cross_domain_specs
from polymlops.config.cross_domain import CrossDomainSpec
from polymlops.config.novel_slices import novel_spec, social_arms
from polymlops.config.schema import ExperimentConfig
from polymlops.config.slices import depth_arms, depth_report_spec, grpo_arms, report_spec, score_spec
from polymlops.refs import ModelRef, ReportRef, ScoresRef
from tasks.analysis import AnalysisSources, analyse_adapters, analyse_mechanism, check_theory
from tasks.arms import ScoreSources, score_samples
from tasks.novel import measure_domain
from tasks.reporting import write_core_results, write_cross_domain, write_theoretical_depth


def core_stages(call: Call, config: ExperimentConfig) -> CoreArtifacts:
    """Phase 1: data, base model, adapters, samples, scores."""
    ground = lay_foundations(call, config)
    social = measure_core(call, config, ground)
    report = call(write_core_results, report_spec(config), social.scores, ground.adapters)
    return CoreArtifacts(**dict(ground), samples=social.samples, scores=social.scores, report=report)


def depth_stages(call: Call, config: ExperimentConfig) -> DepthArtifacts:
    """Phase 2: reward model, GRPO, comparison with its starts, analyses."""
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


def generalization_stages(call: Call, config: ExperimentConfig) -> GeneralizationArtifacts:
    """Phase 3: code, creative writing, domains compared."""
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


def novel_stages(call: Call, config: ExperimentConfig, stored: StoredResults) -> NovelArtifacts:
    """Phase 4: social scores by the reward model too, and a report of every domain."""
    scores = {"social": score_with_reward(call, config, stored)}
    reports: dict[str, ReportRef] = {}
    for domain, sets in stored.domains.items():
        spec = novel_spec(config, domain, stored.missing_in(domain))
        reports[domain] = call(measure_domain, domain, spec, scores.get(domain, sets.scores), sets.samples)
    return NovelArtifacts(dataset=stored.dataset, scores=scores["social"], reports=reports)


def score_with_reward(call: Call, config: ExperimentConfig, stored: StoredResults) -> dict[str, ScoresRef]:
    """Scores of every social arm by the reward model too, where there is one, so that all arms have that selector."""
    sets = stored.domains.get("social")
    if sets is None or stored.reward is None:
        return dict(sets.scores) if sets is not None else {}
    scores: dict[str, ScoresRef] = {}
    for arm, seed in social_arms(config):
        samples = sets.samples.get(f"{arm}/{seed}")
        if samples is not None:
            sources = ScoreSources(samples, stored.dataset, stored.base, stored.reward)
            scores[f"{arm}/{seed}"] = call(score_samples, score_spec(config, arm, seed), sources)
    return scores
