"""Group-relative policy optimisation: its settings, and what its stage may see of an experiment."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationError, model_validator

from polymlops.config.analysis import GradientConfig
from polymlops.config.rewards import LearnedRewardConfig, RewardConfig
from polymlops.config.sampling import DynamicsSpec, SamplingConfig
from polymlops.config.section import Section, Slug


class AlarmConfig(Section):
    """When training stops by itself and keeps its best checkpoint; each is judged on one logged window of steps."""

    kl_limit: float = Field(1.0, gt=0, description="mean KL a token to the SFT adapter, in nats, above which it stops")
    diversity_floor: float = Field(
        0.0, ge=0, lt=1, description="mean pairwise distance within groups below which it stops; 0 is off"
    )
    gold_patience: int = Field(
        3,
        ge=0,
        description="dynamics measurements in a row with the true pass rate below its best and the reward above what "
        "it was then, after which it stops; 0 is off",
    )


Objective = Literal["mean", "max", "polychromic", "selected", "diversity", "coverage"]
Baseline = Literal["mean", "loo", "marginal"]
Selector = Literal["logprob", "length", "reward"]


class ObjectiveConfig(Section):
    """What a set of k replies is worth, and how each reply is credited; the fields mean what they do in `grpo`."""

    objective: Objective = Field("polychromic", description="value f(S) of a set of k replies")
    k: int = Field(2, ge=1, description="size of the sets; at most grpo.samples")
    baseline: Baseline = Field("loo", description="what an advantage is measured against")
    selector: Selector = Field("logprob", description="picks from a set, in `selected` only")


class GRPOConfig(Section):
    """Policy gradient on groups of samples of a prompt, from an SFT adapter; sampling cuts nothing off (top_p 1)."""

    objective: Objective = Field("mean", description="value f(S) of a set of k replies; `mean` at k = 1 is GRPO")
    k: int = Field(1, ge=1, description="size of the sets that the objective values; at most samples")
    baseline: Baseline = Field("mean", description="what an advantage is measured against")
    selector: Selector = Field(
        "logprob",
        description="picks from a set in `selected`: the highest mean log-probability, the longest, or the highest "
        "reward (a perfect selector: `selected` is then `max`)",
    )
    distance: Literal["embedding", "lexical", "program"] = Field(
        "embedding",
        description="pairwise distance in [0, 1]; `program`: of the programs' trees, only where programs are trained",
    )
    reward_floor: float = Field(
        0.0,
        allow_inf_nan=False,
        description="`polychromic` multiplies max(reward - floor, 0) with diversity; the lowest sensible reward, in "
        "the reward's unit. The share that it cuts off is logged as below_floor_share",
    )
    pass_threshold: float = Field(
        0.5, allow_inf_nan=False, description="`coverage` counts replies with a reward above it, in the reward's unit"
    )
    coverage_distance: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="`coverage` counts replies as one where all of them are at most this far apart; 0: where their "
        "texts are equal but for case and white space",
    )
    samples: int = Field(4, ge=2, description="K, completions of a prompt")
    prompts: int = Field(8, ge=1, description="prompts an optimizer step")
    micro_batch: int = Field(32, ge=1, description="completions a forward pass; divides prompts x samples")
    processes: int = Field(
        1,
        ge=1,
        description="that train together by accelerate, each on a GPU of its own; they divide the prompts of a step",
    )
    gradient_checkpointing: bool = Field(
        False, description="as in sft; a prompt is then computed again for each of its completions"
    )
    steps: int = Field(100, ge=1, description="optimizer steps")
    learning_rate: float = Field(1e-5, gt=0, description="of Adam, at its peak")
    warmup: float = Field(0.03, ge=0, lt=1, description="share of the steps with a rising rate; cosine afterwards")
    beta: float = Field(0.1, gt=0, description="weight of the KL to the SFT adapter")
    temperature: float = Field(0.8, gt=0, description="of sampling, and of the log-probabilities in loss and KL")
    max_new_tokens: int = Field(64, ge=1, description="a completion that is cut here does not count in diversity")
    checkpoint_every: int = Field(10, ge=1, description="optimizer steps between checkpoints; a multiple of log_every")
    dynamics_frequency: int = Field(10, ge=1, description="optimizer steps between measurements on held-out prompts")
    log_every: int = Field(5, ge=1, description="optimizer steps a logged window")
    alarms: AlarmConfig = AlarmConfig()

    @model_validator(mode="after")
    def _multiples(self) -> GRPOConfig:
        if self.prompts % self.processes:
            raise ValueError(f"processes {self.processes} does not divide prompts {self.prompts}")
        if self.completions % self.micro_batch:
            shared = " / processes" if self.processes > 1 else ""
            raise ValueError(f"micro_batch {self.micro_batch} does not divide prompts x samples{shared}")
        # A resumed run starts a window of its own: inside one, its history would differ from the undisturbed run's.
        if self.checkpoint_every % self.log_every:
            raise ValueError(f"checkpoint_every {self.checkpoint_every} is not a multiple of log_every")
        return self

    @model_validator(mode="after")
    def _sets(self) -> GRPOConfig:
        if self.k > self.samples:
            raise ValueError(f"k {self.k} is above samples {self.samples}")
        if self.k == self.samples and self.baseline != "marginal":
            raise ValueError(f"baseline {self.baseline} has nothing to compare with at k = samples: use marginal")
        if self.k == 1 and self.objective in ("polychromic", "diversity"):
            raise ValueError(f"objective {self.objective} needs k of at least 2: one reply has no diversity")
        return self

    @property
    def completions(self) -> int:
        """Of one process in an optimizer step."""
        return self.prompts * self.samples // self.processes

    def with_objective(self, other: ObjectiveConfig) -> GRPOConfig:
        """These settings with another objective.

        Raises:
            ValueError: the objective does not fit the number of samples.
        """
        try:
            return GRPOConfig.model_validate(self.model_dump() | other.model_dump())
        except ValidationError as error:
            faults = "; ".join(fault["msg"].removeprefix("Value error, ") for fault in error.errors())
            raise ValueError(f"polychromic_grpo: {faults}") from None


class GRPOSpec(Section):
    """One adapter trained from one SFT adapter with one seed."""

    arm: Slug = Field(description="name of the trained arm; messages and the adapter carry it")
    seed: int = Field(ge=0)
    grpo: GRPOConfig
    reward: RewardConfig = LearnedRewardConfig()
    dynamics: DynamicsSpec
    sampling: SamplingConfig = Field(description="decoding of the dynamics: temperature, top_p, top_k, max_new_tokens")
    gradients: GradientConfig = GradientConfig()

    @model_validator(mode="after")
    def _gold_is_measured(self) -> GRPOSpec:
        if self.grpo.alarms.gold_patience and not self.dynamics.track:
            raise ValueError("alarms.gold_patience needs dynamics: set it to 0, or track dynamics")
        return self
