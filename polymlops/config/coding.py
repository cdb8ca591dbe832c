"""The code domain: which problems, how they are sampled, how programs are executed and compared."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from polymlops.config.grpo import AlarmConfig, GRPOConfig, ObjectiveConfig
from polymlops.config.sampling import SamplingConfig
from polymlops.config.sandbox import SandboxLimits
from polymlops.config.section import Section
from polymlops.config.suites import FileSuiteConfig, HumanEvalConfig, MbppConfig, SuiteConfig, WorldSuiteConfig

CodeDomain = Annotated[str, StringConstraints(pattern=r"^code_[a-z0-9_]+$")]


class CodeScoring(Section):
    """How the programs of a sample set are executed and compared."""

    ks: tuple[Annotated[int, Field(ge=1)], ...] = Field((1, 5, 10), min_length=1, description="candidates shown")
    same_algorithm: float = Field(
        0.3, ge=0, le=1, description="normalised tree edit distance up to which two programs are one algorithm"
    )
    shard_problems: int = Field(25, ge=1, description="problems executed together; a killed run keeps whole shards")
    limits: SandboxLimits = SandboxLimits()


class CodeConfig(Section):
    """The domain of programs that tests judge."""

    suite: SuiteConfig = Field(WorldSuiteConfig(), description="which problems, and how they are asked")
    sampling: SamplingConfig = SamplingConfig()
    scoring: CodeScoring = CodeScoring()

    @model_validator(mode="after")
    def _k_within_n(self) -> CodeConfig:
        if max(self.scoring.ks) > self.sampling.n:
            raise ValueError(f"scoring.ks: {max(self.scoring.ks)} is above code.sampling.n = {self.sampling.n}")
        if len(set(self.scoring.ks)) != len(self.scoring.ks):
            raise ValueError(f"scoring.ks {self.scoring.ks} names one twice")
        return self


class UnitTestsRewardConfig(Section):
    """The reward of a program: 1 where it passes its problem's tests in the sandbox, else 0."""

    kind: Literal["unit_tests"] = "unit_tests"
    suite: WorldSuiteConfig = Field(
        WorldSuiteConfig(split="train"), description="the problems to train on; no parameter of them is in the test"
    )
    limits: SandboxLimits = SandboxLimits()


class CodeGRPOConfig(Section):
    """GRPO on programs from a zero adapter (Delta W = 0), one arm an objective: `mean` trains the arm `code_mean`."""

    objectives: dict[Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,32}$")], ObjectiveConfig] = Field(
        {}, description="what differs between the arms; none: nothing is trained on programs"
    )
    reward: UnitTestsRewardConfig = UnitTestsRewardConfig()
    grpo: GRPOConfig = Field(
        GRPOConfig(distance="lexical", alarms=AlarmConfig(gold_patience=0)),
        description="of all arms; the objective is the arm's own",
    )

    @model_validator(mode="after")
    def _fits(self) -> CodeGRPOConfig:
        if self.grpo.alarms.gold_patience:
            raise ValueError("grpo.alarms.gold_patience: the reward is the truth here: set it to 0")
        for name, objective in self.objectives.items():
            try:
                self.grpo.with_objective(objective)
            except ValueError as error:
                raise ValueError(f"objectives.{name}: {error}") from None
        return self


def domain_of(suite: SuiteConfig) -> str:
    """What the suite's metrics are called in tables and in MLflow: `code_humaneval`."""
    match suite:
        case WorldSuiteConfig():
            return "code_world"
        case HumanEvalConfig():
            return "code_humaneval"
        case MbppConfig():
            return "code_mbpp" if suite.variant == "full" else "code_mbpp_sanitized"
        case FileSuiteConfig():
            name = suite.path.name.partition(".")[0] if suite.path else str(suite.hub).partition("/")[2]
            return f"code_{re.sub('[^a-z0-9_]', '_', name.lower())}"
