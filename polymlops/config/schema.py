"""The one schema of an experiment: frozen, strict, every field with its unit, range and meaning.

The defaults are the paper's setting where it states one (LoRA r = 16 on all seven linear layers, learning rate 2e-4,
effective batch 16, lambda .3, N = 3, T .7, top_p .9, n = 10); a profile is what differs from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from polymlops.config.analysis import AnalysisConfig, GradientConfig
from polymlops.config.base_models import BaseModelConfig, EmbeddedModelConfig
from polymlops.config.coding import CodeConfig, CodeGRPOConfig
from polymlops.config.creative import CreativeConfig
from polymlops.config.execution import ExecutionConfig, TrackingConfig
from polymlops.config.grpo import GRPOConfig, ObjectiveConfig
from polymlops.config.ingest import FileSource, HubSource
from polymlops.config.novel import NovelConfig
from polymlops.config.rewards import LearnedRewardConfig, RewardConfig, RewardModelConfig
from polymlops.config.sampling import SamplingConfig
from polymlops.config.section import Fraction, Section, Slug
from polymlops.config.stories import StoriesSource

# lambda_zero and detached are controls of polychromic: both must come out as the baseline.
Arm = Literal[
    "zero_shot",
    "few_shot",
    "baseline",
    "polychromic",
    "lambda_zero",
    "detached",
    "baseline_grpo",
    "polychromic_grpo",
]
STARTS: Mapping[Arm, Arm] = {"baseline_grpo": "baseline", "polychromic_grpo": "polychromic"}
ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class WorldSource(Section):
    """The embedded world as the source of posts, replies and likes."""

    kind: Literal["world"] = "world"
    seed: int = Field(7, ge=0, description="seed of the world; another seed is another population of posts")
    posts: int = Field(1600, ge=20, description="posts to draw")
    replies_per_post: int = Field(6, ge=1, description="replies to each post")


class SplitConfig(Section):
    """Share of posts in each split; whole groups of posts and authors move together."""

    train_sft: Fraction = Field(0.40, description="replies that adapters are fine-tuned on")
    train_grpo: Fraction = Field(0.15, description="posts that GRPO answers")
    reward: Fraction = Field(0.20, description="replies that the reward model learns from")
    validation: Fraction = Field(0.10, description="posts of the dynamics and of what is chosen while training")
    test: Fraction = Field(0.15, description="posts of the sample sets; nothing is trained or chosen on them")

    @model_validator(mode="after")
    def _sum_to_one(self) -> SplitConfig:
        total = sum(self.model_dump().values())
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the shares sum to {total:g}, not to 1")
        return self


class DataConfig(Section):
    """Where interactions come from, how they are cleaned, and how they are split."""

    source: Annotated[WorldSource | StoriesSource | FileSource | HubSource, Field(discriminator="kind")] = Field(
        WorldSource(), description="where posts, replies and likes come from"
    )
    min_characters: int = Field(10, ge=0, description="shorter replies are dropped")
    max_characters: int = Field(280, ge=1, description="longer replies are dropped")
    near_duplicate_similarity: float = Field(
        0.9,
        gt=0,
        le=1,
        description="estimated Jaccard similarity of word 3-shingles at which two replies to a post are one",
    )
    split: SplitConfig = SplitConfig()
    seed: int = Field(42, ge=0, description="seed of the split")

    @model_validator(mode="before")
    @classmethod
    def _world_is_the_default(cls, values: Any) -> Any:
        """A source that does not say its kind is the world."""
        source = values.get("source") if isinstance(values, Mapping) else None
        return values | {"source": {"kind": "world"} | source} if isinstance(source, dict) else values

    @property
    def truth_is_known(self) -> bool:
        """True for the world and its stories; nobody knows the truth about other data."""
        return isinstance(self.source, WorldSource | StoriesSource)

    @model_validator(mode="after")
    def _length_window(self) -> DataConfig:
        if self.min_characters > self.max_characters:
            raise ValueError(f"min_characters {self.min_characters} is above max_characters {self.max_characters}")
        return self


class LoraConfig(Section):
    """The adapter."""

    r: int = Field(16, ge=1, description="rank")
    alpha: int = Field(16, ge=1, description="Delta W is scaled by alpha / r")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of the adapter's inputs that training zeroes")
    target_modules: tuple[str, ...] = Field(ALL_LINEAR, description="linear layers that get an adapter, by their name")


class SFTConfig(Section):
    """Supervised fine-tuning on the reply; shared by the baseline and polychromic arms."""

    epochs: float = Field(2, gt=0, description="passes over the training replies")
    batch: int = Field(16, ge=1, description="replies an optimizer step, micro-batches together")
    micro_batch: int = Field(16, ge=1, description="replies a forward pass; divides batch")
    learning_rate: float = Field(2e-4, gt=0, description="of AdamW, at its peak")
    warmup: float = Field(
        0.03, ge=0, lt=1, description="share of the steps with a rising learning rate; cosine afterwards"
    )
    processes: int = Field(
        1,
        ge=1,
        description="that train together by accelerate, each on its own GPU; micro_batch x processes divides batch",
    )
    max_tokens: int = Field(256, ge=16, description="prompt and reply together")
    gradient_checkpointing: bool = Field(
        False, description="layers keep their input alone and are computed twice: less memory, about a third more time"
    )
    checkpoint_every: int = Field(40, ge=1, description="optimizer steps between checkpoints")
    log_every: int = Field(10, ge=1, description="optimizer steps between logged metrics")

    @model_validator(mode="after")
    def _multiples(self) -> SFTConfig:
        if self.batch % (self.micro_batch * self.processes):
            each = f"micro_batch {self.micro_batch}" + (f" x processes {self.processes}" if self.processes > 1 else "")
            raise ValueError(f"batch {self.batch} is not a multiple of {each}")
        if self.checkpoint_every % self.log_every:  # a mean that spans a checkpoint would differ after a resume
            every = f"checkpoint_every {self.checkpoint_every}"
            raise ValueError(f"{every} is not a multiple of log_every {self.log_every}")
        return self


class PolychromicConfig(Section):
    """The diversity term: L = CE - lambda E[D(Y)], Y = `samples` draws of the policy for a prompt."""

    lambda_: float = Field(0.3, ge=0, alias="lambda", description="weight of the diversity term; 0 is the baseline")
    samples: int = Field(3, ge=2, description="N, the size of the sampled set of a prompt")
    prompts: int = Field(4, ge=1, description="prompts whose sets are sampled at a diversity step")
    every: int = Field(
        1, ge=1, description="optimizer steps between diversity steps; the term is weighted by it in return"
    )
    temperature: float = Field(1.0, gt=0, description="of the sampled sets and of their log-probabilities")
    max_new_tokens: int = Field(32, ge=1, description="a sample that is cut here counts neither in D nor in the loss")
    distance: Literal["embedding", "lexical"] = Field("embedding", description="pairwise distance in [0, 1]")
    detached: bool = Field(False, description="control: D as a constant, without a gradient")


class EvaluationConfig(Section):
    """What is measured, during training and after it."""

    ks: tuple[int, ...] = Field((1, 5, 10), min_length=1, description="candidates shown; each at most sampling.n")
    track_dynamics: bool = Field(True, description="measure diversity during training")
    dynamics_frequency: int = Field(100, ge=1, description="optimizer steps between measurements")
    dynamics_prompts: int = Field(20, ge=1, description="validation prompts of a measurement")
    dynamics_samples: int = Field(8, ge=2, description="candidates a prompt of a measurement")
    resamples: int = Field(10000, ge=100, description="bootstrap resamples")

    @model_validator(mode="after")
    def _positive_ks(self) -> EvaluationConfig:
        if min(self.ks) < 1 or len(set(self.ks)) != len(self.ks):
            raise ValueError(f"ks {self.ks} must be distinct and at least 1")
        return self


class ExperimentConfig(Section):
    """A whole experiment."""

    name: Slug = Field("experiment", description="names the MLflow experiment")
    output_dir: Path = Field(Path("polymlops-runs"), description="databases, artifacts, caches, unfinished work")
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (42,), min_length=1, description="training seeds of every arm"
    )
    arms: tuple[Arm, ...] = Field(
        ("zero_shot", "few_shot", "baseline", "polychromic", "baseline_grpo", "polychromic_grpo"),
        min_length=1,
        description="what is compared; an arm of GRPO needs the one that it starts from",
    )
    data: DataConfig = DataConfig()
    base_model: BaseModelConfig = Field(EmbeddedModelConfig(), description="what adapters are trained on")
    lora: LoraConfig = LoraConfig()
    sft: SFTConfig = SFTConfig()
    polychromic: PolychromicConfig = PolychromicConfig()
    reward_model: RewardModelConfig = RewardModelConfig()
    reward: RewardConfig = Field(LearnedRewardConfig(), description="what GRPO maximises")
    grpo: GRPOConfig = Field(GRPOConfig(), description="of both GRPO arms; the objective is that of baseline_grpo")
    polychromic_grpo: ObjectiveConfig = Field(
        ObjectiveConfig(), description="the objective of polychromic_grpo, in place of the one in grpo"
    )
    gradients: GradientConfig = Field(GradientConfig(), description="recorded while SFT and GRPO train")
    sampling: SamplingConfig = SamplingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    analysis: AnalysisConfig = AnalysisConfig()
    novel: NovelConfig = NovelConfig()
    code: CodeConfig | None = Field(CodeConfig(), description="none: no arm is asked for programs")
    code_grpo: CodeGRPOConfig = CodeGRPOConfig()
    creative: CreativeConfig | None = Field(CreativeConfig(), description="none: no arm is asked for stories")
    tracking: TrackingConfig = TrackingConfig()
    execution: ExecutionConfig = ExecutionConfig()

    @model_validator(mode="after")
    def _distinct(self) -> ExperimentConfig:
        for key in ("seeds", "arms"):
            values = getattr(self, key)
            if len(set(values)) != len(values):
                raise ValueError(f"{key}: {values} names one twice")
        return self

    @model_validator(mode="after")
    def _starts(self) -> ExperimentConfig:
        for arm, start in STARTS.items():
            if arm in self.arms and start not in self.arms:
                raise ValueError(f"arms: {arm} starts from {start}, which is not among {list(self.arms)}")
        if not any(arm not in STARTS for arm in self.arms):
            raise ValueError(f"arms: {list(self.arms)} has none to compare with")
        self.grpo.with_objective(self.polychromic_grpo)
        if self.grpo.distance == "program":
            raise ValueError("grpo.distance: replies are no programs: use embedding or lexical")
        if self.code_grpo.objectives and "zero_shot" not in self.arms:
            raise ValueError("arms: code_grpo compares with zero_shot, from which it starts: add it")
        if self.code_grpo.objectives and self.code is None:
            raise ValueError("code: code_grpo trains arms that only programs can measure: it cannot be null")
        return self

    @model_validator(mode="after")
    def _workers_reach_the_store(self) -> ExperimentConfig:
        if self.execution.mode == "pools" and not (self.tracking.uri or "").startswith(("http://", "https://")):
            raise ValueError(
                f"tracking.uri: {self.tracking.uri} is out of reach of the workers of execution.mode = pools: "
                "give the address of an MLflow server"
            )
        return self

    @model_validator(mode="after")
    def _budget_has_a_price(self) -> ExperimentConfig:
        prices = (self.tracking.price_per_hour, *self.tracking.pool_prices.values())
        if self.execution.budget_dollars is not None and not any(prices):
            raise ValueError(
                "execution.budget_dollars: nothing has a price, so nothing would ever be spent: set "
                "tracking.price_per_hour, or tracking.pool_prices"
            )
        return self

    @model_validator(mode="after")
    def _k_within_n(self) -> ExperimentConfig:
        if max(self.evaluation.ks) > self.sampling.n:
            raise ValueError(f"evaluation.ks: {max(self.evaluation.ks)} is above sampling.n = {self.sampling.n}")
        return self
