"""What each stage of the code domain may see of the config; see polymlops.config.slices."""

from __future__ import annotations

from pydantic import Field

from polymlops.config.coding import CodeConfig, CodeScoring, UnitTestsRewardConfig, domain_of
from polymlops.config.grpo import GRPOConfig
from polymlops.config.schema import ExperimentConfig, LoraConfig
from polymlops.config.section import Section, Slug
from polymlops.config.slices import ReportSpec, SampleSpec, all_arms, grpo_arms
from polymlops.config.suites import SuiteConfig


class CodeSampleSpec(SampleSpec):
    """The programs of one arm for the problems of a suite."""

    suite: SuiteConfig


class CodeScoreSpec(Section):
    """The scores of one sample set of programs."""

    arm: Slug
    seed: int = Field(ge=0, description="training seed of the arm")
    domain: str = Field(description="first part of the metrics' names: `code_world`")
    suite: SuiteConfig
    scoring: CodeScoring


class ZeroAdapterSpec(Section):
    """The adapter that GRPO on programs starts from: B = 0, so that the model is the base."""

    seed: int = Field(ge=0, description="of A")
    lora: LoraConfig


class CodeGRPOSpec(Section):
    """One adapter trained on the tests of programs with one seed."""

    arm: Slug
    seed: int = Field(ge=0)
    grpo: GRPOConfig
    reward: UnitTestsRewardConfig


def _code(config: ExperimentConfig) -> CodeConfig:
    assert config.code is not None  # the flow asks for programs only where there is a suite
    return config.code


def code_tuned_arms(config: ExperimentConfig) -> list[tuple[str, int]]:
    """Every (arm, seed) that is trained on the tests of programs."""
    return [(f"code_{name}", seed) for seed in config.seeds for name in config.code_grpo.objectives]


def code_arms(config: ExperimentConfig) -> list[tuple[str, int]]:
    """Every (arm, seed) of the domain: those of phases 1 and 2, and those that are trained on programs.

    An arm without training is there once, `few_shot` only where examples are known.
    """
    pairs = [*all_arms(config), *grpo_arms(config), *code_tuned_arms(config)]
    return [(arm, seed) for arm, seed in pairs if arm != "few_shot" or _code(config).suite.kind == "world"]


def code_grpo_spec(config: ExperimentConfig, arm: str, seed: int) -> CodeGRPOSpec:
    """Slice of the config that determines an adapter trained on programs."""
    settings = config.code_grpo
    objective = settings.objectives[arm.removeprefix("code_")]
    return CodeGRPOSpec(arm=arm, seed=seed, grpo=settings.grpo.with_objective(objective), reward=settings.reward)


def zero_adapter_spec(config: ExperimentConfig, seed: int) -> ZeroAdapterSpec:
    """Slice of the config that determines a zero adapter."""
    return ZeroAdapterSpec(seed=seed, lora=config.lora)


def code_sample_spec(config: ExperimentConfig, arm: str, seed: int) -> CodeSampleSpec:
    """Slice of the config that determines a sample set of programs."""
    code = _code(config)
    return CodeSampleSpec(arm=arm, seed=seed, domain=domain_of(code.suite), sampling=code.sampling, suite=code.suite)


def code_score_spec(config: ExperimentConfig, arm: str, seed: int) -> CodeScoreSpec:
    """Slice of the config that determines the scores of programs."""
    code = _code(config)
    return CodeScoreSpec(arm=arm, seed=seed, domain=domain_of(code.suite), suite=code.suite, scoring=code.scoring)


def code_report_spec(config: ExperimentConfig) -> ReportSpec:
    """Slice of the config that determines the figures and table of the code domain."""
    arms = tuple(dict.fromkeys(arm for arm, _ in code_arms(config)))
    domain, ks = domain_of(_code(config).suite), _code(config).scoring.ks
    return ReportSpec(arms=arms, domain=domain, ks=ks, resamples=config.evaluation.resamples)
