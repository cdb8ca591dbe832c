"""Group-relative policy optimisation: its settings, and what its stage may see of an experiment."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from polymlops.config.schema import SamplingConfig, Section, Slug
from polymlops.config.slices import DynamicsSpec


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


class GRPOConfig(Section):
    """Policy gradient on groups of samples of a prompt, from an SFT adapter; sampling cuts nothing off (top_p 1)."""

    objective: Literal["mean", "max", "polychromic", "selected", "diversity"] = Field(
        "mean", description="value f(S) of a set of k replies; `mean` at k = 1 is GRPO"
    )
    k: int = Field(1, ge=1, description="size of the sets that the objective values; at most samples")
    baseline: Literal["mean", "loo", "marginal"] = Field("mean", description="what an advantage is measured against")
    selector: Literal["logprob", "length"] = Field(
        "logprob", description="picks from a set in `selected`: the highest mean log-probability, or the longest"
    )
    distance: Literal["embedding", "lexical"] = Field("embedding", description="pairwise distance in [0, 1]")
    reward_floor: float = Field(
        0.0, description="`polychromic` multiplies max(reward - floor, 0) with diversity; the lowest sensible reward"
    )
    samples: int = Field(4, ge=2, description="K, completions of a prompt")
    prompts: int = Field(8, ge=1, description="prompts an optimizer step")
    micro_batch: int = Field(32, ge=1, description="completions a forward pass; divides prompts x samples")
    steps: int = Field(100, ge=1, description="optimizer steps")
    learning_rate: float = Field(1e-5, gt=0)
    warmup: float = Field(0.03, ge=0, lt=1, description="share of the steps with a rising rate; cosine afterwards")
    beta: float = Field(0.1, gt=0, description="weight of the KL to the SFT adapter")
    temperature: float = Field(0.8, gt=0, description="of sampling, and of the log-probabilities in loss and KL")
    max_new_tokens: int = Field(64, ge=1, description="a completion that is cut here does not count in diversity")
    checkpoint_every: int = Field(10, ge=1, description="optimizer steps between checkpoints; a multiple of log_every")
    log_every: int = Field(5, ge=1, description="optimizer steps a logged window")
    alarms: AlarmConfig = AlarmConfig()

    @model_validator(mode="after")
    def _multiples(self) -> GRPOConfig:
        if self.prompts * self.samples % self.micro_batch:
            raise ValueError(f"micro_batch {self.micro_batch} does not divide prompts x samples")
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


class GRPOSpec(Section):
    """One adapter trained from one SFT adapter with one seed."""

    arm: Slug = Field(description="name of the trained arm; messages and the adapter carry it")
    seed: int = Field(ge=0)
    grpo: GRPOConfig
    dynamics: DynamicsSpec
    sampling: SamplingConfig = Field(description="decoding of the dynamics: temperature, top_p, top_k, max_new_tokens")

    @model_validator(mode="after")
    def _gold_is_measured(self) -> GRPOSpec:
        if self.grpo.alarms.gold_patience and not self.dynamics.track:
            raise ValueError("alarms.gold_patience needs dynamics: set it to 0, or track dynamics")
        return self
