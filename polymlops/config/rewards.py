"""The reward model and the rewards that training maximises: their settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from polymlops.config.section import Section

Candidate = Literal["frozen", "cross_encoder", "pairs"]
Covariate = Literal["age", "author"]
Component = Literal["relevance", "length", "repetition", "echo", "well_formed"]
Weight = Annotated[float, Field(gt=0, le=1)]

FEWEST_MEMBERS = 4  # a spread over fewer models says nothing


class CrossEncoderConfig(Section):
    """The candidate that fine-tunes the base model on (post, reply) with a regression loss."""

    epochs: float = Field(2, gt=0, description="passes over the training rows")
    batch: int = Field(32, ge=1, description="pairs an optimizer step")
    learning_rate: float = Field(1e-3, gt=0, description="at its peak")
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps with a rising rate; cosine afterwards")
    max_tokens: int = Field(256, ge=16, description="post and reply together; the reply is cut there")


class RewardModelConfig(Section):
    """A model of how much people like a reply to a post, from the `reward` split."""

    target: Literal["log1p", "rank", "per_view"] = Field(
        "log1p",
        description="log(1 + likes), the normal score of its rank among the replies to the same post, or "
        "log((1 + likes) / (1 + views))",
    )
    candidates: tuple[Candidate, ...] = Field(
        ("frozen", "cross_encoder"), min_length=1, description="the better on held-out within-post rank is kept"
    )
    covariates: tuple[Covariate, ...] = Field(
        ("age", "author"), description="what `pairs` accounts for where it is known, and leaves out of its scores"
    )
    folds: int = Field(5, ge=2, le=20, description="groups of posts, each held out once; candidates meet on the first")
    references: int = Field(8, ge=1, le=64, description="other posts that a reply's likelihood is compared with")
    max_rows: int = Field(4000, ge=50, description="rows that `frozen` learns from; whole posts, by seed")
    ensemble: int = Field(1, ge=1, le=64, description="models on bootstrap resamples of the posts; 1 is none")
    cross_encoder: CrossEncoderConfig = CrossEncoderConfig()
    resamples: int = Field(4000, ge=100, description="bootstrap resamples of the report's intervals")
    validate_: bool = Field(
        True, alias="validate", description="fail where length, author mean or TF-IDF ridge are not clearly beaten"
    )
    seed: int = Field(0, ge=0, description="of rows, folds and resamples")

    @model_validator(mode="after")
    def _sensible(self) -> RewardModelConfig:
        if len(set(self.candidates)) != len(self.candidates):
            raise ValueError(f"candidates {self.candidates} names one twice")
        if 1 < self.ensemble < FEWEST_MEMBERS:
            raise ValueError(f"ensemble {self.ensemble}: 1 for none, or at least {FEWEST_MEMBERS}")
        return self


def check_weights(weights: list[float]) -> None:
    """Raise ValueError where the weights don't sum to 1."""
    if abs(sum(weights) - 1) > 1e-9:
        raise ValueError(f"the weights sum to {sum(weights):g}, not to 1")


class LearnedRewardConfig(Section):
    """The trained reward model: 0 is junk, 1 an average human reply."""

    kind: Literal["learned"] = "learned"


class HeuristicRewardConfig(Section):
    """A weighted mean of documented components, each in [0, 1]; needs no training."""

    kind: Literal["heuristic"] = "heuristic"
    weights: dict[Component, Weight] = Field(
        {"relevance": 0.4, "length": 0.15, "repetition": 0.15, "echo": 0.15, "well_formed": 0.15},
        min_length=1,
        description="share of each component; they sum to 1",
    )
    min_words: int = Field(5, ge=1, description="shorter replies lose `length` in proportion")
    max_words: int = Field(40, ge=1, description="longer replies lose it, up to twice as many words, where it is 0")

    @model_validator(mode="after")
    def _sensible(self) -> HeuristicRewardConfig:
        check_weights(list(self.weights.values()))
        if self.min_words > self.max_words:
            raise ValueError(f"min_words {self.min_words} is above max_words {self.max_words}")
        return self


class RewardPart(Section):
    """One reward of a composite."""

    weight: Weight = Field(description="share of the composite")
    reward: LearnedRewardConfig | HeuristicRewardConfig = Field(discriminator="kind", description="which reward")


class CompositeRewardConfig(Section):
    """A weighted mean of other rewards, each kind once."""

    kind: Literal["composite"] = "composite"
    parts: tuple[RewardPart, ...] = Field(
        (
            RewardPart(weight=0.7, reward=LearnedRewardConfig()),
            RewardPart(weight=0.3, reward=HeuristicRewardConfig()),
        ),
        min_length=2,
        description="their weights sum to 1",
    )

    @model_validator(mode="after")
    def _sensible(self) -> CompositeRewardConfig:
        check_weights([part.weight for part in self.parts])
        kinds = [part.reward.kind for part in self.parts]
        if len(set(kinds)) != len(kinds):
            raise ValueError(f"parts {kinds} name one kind twice")
        return self


RewardConfig = Annotated[
    LearnedRewardConfig | HeuristicRewardConfig | CompositeRewardConfig, Field(discriminator="kind")
]
