"""What each stage may see of the config: its slice, and no more, so that an unrelated change redoes nothing.

A slice is part of the key under which a stage's result is remembered. A value that cannot change the result is left at
its default here, whatever the config says.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from polymlops.config.analysis import GradientConfig
from polymlops.config.grpo import GRPOSpec
from polymlops.config.sampling import DynamicsSpec, PromptBlock, SamplingConfig
from polymlops.config.schema import STARTS, Arm, ExperimentConfig, LoraConfig, PolychromicConfig, SFTConfig
from polymlops.config.section import Section, Slug

Domain = Annotated[str, StringConstraints(pattern=r"^(social|stories|creative|code_[a-z0-9_]+)$")]
TRAINED: tuple[Arm, ...] = ("baseline", "polychromic", "lambda_zero", "detached")
UNTRAINED_SEED = 0


class AdapterSpec(Section):
    """One adapter of one arm from one seed; `polychromic` is none for the baseline."""

    arm: Arm
    seed: int = Field(ge=0)
    sft: SFTConfig
    lora: LoraConfig
    polychromic: PolychromicConfig | None
    dynamics: DynamicsSpec
    sampling: SamplingConfig = Field(description="decoding of the dynamics: temperature, top_p, top_k, max_new_tokens")
    gradients: GradientConfig = GradientConfig()


class SampleSpec(Section):
    """The sample set of one arm; an arm without training has seed 0."""

    arm: Slug
    seed: int = Field(ge=0, description="training seed of the arm; sampling has its own in `sampling.seed`")
    domain: Domain = "social"
    sampling: SamplingConfig
    block: PromptBlock | None = Field(None, description="the part of the prompts that is sampled; none: all")


class ScoreSpec(Section):
    """The scores of one sample set."""

    arm: Slug
    seed: int = Field(ge=0)
    domain: Domain = "social"
    ks: tuple[int, ...] = Field(min_length=1, description="candidates shown")


class ReportSpec(Section):
    """Figures and table over all arms and seeds."""

    arms: tuple[Slug, ...] = Field(min_length=1, description="in the order of the table")
    domain: Domain = "social"
    ks: tuple[int, ...] = Field(min_length=1)
    resamples: int = Field(ge=100, description="bootstrap resamples")
    seed: int = Field(0, ge=0, description="of the bootstrap")


def trained_arms(config: ExperimentConfig) -> list[tuple[Arm, int]]:
    """Every (arm, seed) that needs an adapter, seeds together so that arms of one seed are neighbours in time."""
    return [(arm, seed) for seed in config.seeds for arm in config.arms if arm in TRAINED]


def all_arms(config: ExperimentConfig) -> list[tuple[Arm, int]]:
    """Every (arm, seed) that phase 1 samples; an arm without training once."""
    untrained: list[tuple[Arm, int]] = [(arm, UNTRAINED_SEED) for arm in core_arms(config) if arm not in TRAINED]
    return untrained + trained_arms(config)


def core_arms(config: ExperimentConfig) -> tuple[Arm, ...]:
    """The arms of phase 1."""
    return tuple(arm for arm in config.arms if arm not in STARTS)


def grpo_arms(config: ExperimentConfig) -> list[tuple[Arm, int]]:
    """Every (arm, seed) that GRPO trains."""
    return [(arm, seed) for seed in config.seeds for arm in config.arms if arm in STARTS]


def depth_arms(config: ExperimentConfig) -> list[tuple[Arm, int]]:
    """Every (arm, seed) that phase 2 compares: GRPO's arms, and those that they start from."""
    starts = {STARTS[arm] for arm in config.arms if arm in STARTS}
    return [pair for pair in trained_arms(config) if pair[0] in starts] + grpo_arms(config)


def adapter_spec(config: ExperimentConfig, arm: Arm, seed: int) -> AdapterSpec:
    """Slice of the config that determines an adapter."""
    return AdapterSpec(
        arm=arm,
        seed=seed,
        sft=config.sft,
        lora=config.lora,
        polychromic=_diversity_of(arm, config.polychromic),
        dynamics=_dynamics(config),
        sampling=_decoding(config),
        gradients=_gradients(config),
    )


def grpo_spec(config: ExperimentConfig, arm: Arm, seed: int) -> GRPOSpec:
    """Slice of the config that determines an adapter of GRPO."""
    grpo = config.grpo.with_objective(config.polychromic_grpo) if arm == "polychromic_grpo" else config.grpo
    dynamics = _dynamics(config).model_copy(update={"frequency": grpo.dynamics_frequency})
    settings = {"grpo": grpo, "reward": config.reward, "dynamics": dynamics, "sampling": _decoding(config)}
    return GRPOSpec(arm=arm, seed=seed, gradients=_gradients(config), **settings)


def _gradients(config: ExperimentConfig) -> GradientConfig:
    """When gradients are recorded; how often they would be, where they are not, changes nothing."""
    return config.gradients if config.gradients.track else GradientConfig()


def _dynamics(config: ExperimentConfig) -> DynamicsSpec:
    evaluation = config.evaluation
    return DynamicsSpec(
        track=evaluation.track_dynamics,
        frequency=evaluation.dynamics_frequency,
        prompts=evaluation.dynamics_prompts,
        samples=evaluation.dynamics_samples,
    )


def _decoding(config: ExperimentConfig) -> SamplingConfig:
    """The decoding of the dynamics: that of the sample sets, with as many candidates as are measured."""
    kept = {"temperature", "top_p", "top_k", "max_new_tokens", "seed"}
    return SamplingConfig(n=config.evaluation.dynamics_samples, **config.sampling.model_dump(include=kept))


def _diversity_of(arm: Arm, config: PolychromicConfig) -> PolychromicConfig | None:
    """The diversity term of an arm; the controls differ from `polychromic` in one value."""
    if arm == "polychromic":
        return config
    if arm == "lambda_zero":
        return config.model_copy(update={"lambda_": 0.0})
    if arm == "detached":
        return config.model_copy(update={"detached": True})
    return None


def sample_spec(config: ExperimentConfig, arm: Arm, seed: int) -> SampleSpec:
    """Slice of the config that determines a sample set."""
    return SampleSpec(arm=arm, seed=seed, domain=home_domain(config), sampling=config.sampling)


def score_spec(config: ExperimentConfig, arm: Arm, seed: int) -> ScoreSpec:
    """Slice of the config that determines scores."""
    return ScoreSpec(arm=arm, seed=seed, domain=home_domain(config), ks=config.evaluation.ks)


def report_spec(config: ExperimentConfig) -> ReportSpec:
    """Slice of the config that determines phase 1's figures and table."""
    return _home_report(config, core_arms(config))


def depth_report_spec(config: ExperimentConfig) -> ReportSpec:
    """Slice of the config that determines phase 2's figures and table."""
    arms = tuple(dict.fromkeys(arm for arm, _ in depth_arms(config)))
    return _home_report(config, arms)


def home_domain(config: ExperimentConfig) -> Domain:
    """The domain of the interactions that adapters are trained on."""
    return "stories" if config.data.source.kind == "stories" else "social"


def _home_report(config: ExperimentConfig, arms: tuple[Arm, ...]) -> ReportSpec:
    evaluation = config.evaluation
    return ReportSpec(arms=arms, domain=home_domain(config), ks=evaluation.ks, resamples=evaluation.resamples)
