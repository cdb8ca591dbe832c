"""Creative writing: which prompts, when two texts say the same, who judges, and what its stages may see.

The module stands beside the schema, which may take `CreativeConfig` in; it imports nothing of it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from polymlops.config.input_files import InputPath
from polymlops.config.judge import JudgeConfig, JudgeSpec, TruthJudgeConfig, judge_spec
from polymlops.config.sampling import SamplingConfig
from polymlops.config.section import Section, Slug
from polymlops.config.suites import HubId, Revision

FieldName = Annotated[str, Field(min_length=1, max_length=64)]


class WorldPromptsConfig(Section):
    """The embedded world's story prompts: offline, no files, 64 of them, whose truth is known."""

    kind: Literal["world"] = "world"


class NoveltyBenchPromptsConfig(Section):
    """NoveltyBench's prompts in its own file: JSON lines of id, category, prompt, prompt_paraphrases."""

    kind: Literal["noveltybench"] = "noveltybench"
    path: InputPath = Field(description="the file, e.g. curated.jsonl")
    categories: tuple[str, ...] = Field((), description="keep only these categories; none for all")


class WritingPromptsConfig(Section):
    """WritingPrompts, or any data set with a column of prompts: the Hub at a commit, a folder, or a file."""

    kind: Literal["writing_prompts"] = "writing_prompts"
    path: InputPath | None = Field(None, description="JSON lines, or a folder that `datasets` loads; none for the Hub")
    hub: HubId | None = Field(None, description="repository on the Hub; instead of path")
    revision: Revision | None = Field(None, description="its commit")
    split: Slug = Field("test", description="of the repository or folder; a file has none")
    field: FieldName = Field("prompt", description="the column that holds the prompt")

    @model_validator(mode="after")
    def _one_place(self) -> WritingPromptsConfig:
        if (self.path is None) == (self.hub is None):
            raise ValueError("prompts of kind 'writing_prompts' need either path or hub")
        if (self.hub is None) != (self.revision is None):
            raise ValueError("hub and revision go together: name the commit of the repository")
        return self


class FilePromptsConfig(Section):
    """Anyone's prompts: JSON lines of prompt_id and prompt."""

    kind: Literal["file"] = "file"
    path: InputPath = Field(description="JSON lines of prompt_id, prompt")


PromptSourceConfig = Annotated[
    WorldPromptsConfig | NoveltyBenchPromptsConfig | WritingPromptsConfig | FilePromptsConfig,
    Field(discriminator="kind"),
]


class CreativeScoring(Section):
    """How candidates of one prompt are compared with each other, and when one is good."""

    ks: tuple[Annotated[int, Field(ge=1)], ...] = Field((1, 5, 10), min_length=1, description="candidates shown")
    equivalence: float = Field(
        0.9, ge=-1, le=1, description="cosine from which two texts say the same; labelled pairs replace it"
    )
    patience: float = Field(
        0.8, gt=0, lt=1, description="p of NoveltyBench's utility: the chance that a user looks at one more text"
    )
    rarefied: int = Field(
        100, ge=2, description="bigrams to which distinct-2 is rarefied; NaN for a prompt with fewer, and counted"
    )
    passes: float = Field(0.75, gt=0, le=1, description="quality from which a text passes")


class CreativeConfig(Section):
    """The domain of creative writing."""

    source: PromptSourceConfig = Field(WorldPromptsConfig(), description="which prompts")
    sampling: SamplingConfig = Field(
        SamplingConfig(max_new_tokens=128), description="`prompts` and `seed` choose among the source's prompts too"
    )
    scoring: CreativeScoring = CreativeScoring()
    judge: JudgeConfig | None = Field(JudgeConfig(), description="none: no coherence and no engagement are judged")
    second_judge: JudgeConfig | None = Field(
        None, description="judges the same texts; how far both agree is reported, its scores are not used otherwise"
    )
    labelled_pairs: InputPath | None = Field(
        None, description="JSON lines of first, second, same: sets the threshold of equivalence"
    )
    ratings: InputPath | None = Field(None, description="CSV of people's ratings by prompt_id, sample_id")

    @model_validator(mode="after")
    def _k_within_n(self) -> CreativeConfig:
        if max(self.scoring.ks) > self.sampling.n:
            raise ValueError(f"scoring.ks: {max(self.scoring.ks)} is above creative.sampling.n = {self.sampling.n}")
        if len(set(self.scoring.ks)) != len(self.scoring.ks):
            raise ValueError(f"scoring.ks {self.scoring.ks} names one twice")
        return self

    @model_validator(mode="after")
    def _judge_knows_the_prompts(self) -> CreativeConfig:
        for judge in (self.judge, self.second_judge):
            backend = judge.backend if judge else None
            if isinstance(backend, TruthJudgeConfig) and (self.source.kind != "world" or backend.domain != "stories"):
                raise ValueError(
                    f"judge: the world's truth about {backend.domain} knows nothing of prompts of kind "
                    f"{self.source.kind!r}; give a judge of kind endpoint or local, or judge: null"
                )
        if self.second_judge and not self.judge:
            raise ValueError("second_judge: there is no first judge to agree with: set judge, or second_judge: null")
        return self


class CreativePromptsSpec(Section):
    """What determines the prompts."""

    source: PromptSourceConfig = WorldPromptsConfig()
    prompts: int = Field(100, ge=1, description="at most; the choices of a smaller number are among those of a larger")
    seed: int = Field(0, ge=0, description="of the choice")


class CreativeScoreSpec(Section):
    """The scores of one sample set of creative writing."""

    arm: Slug
    seed: int = Field(ge=0, description="training seed of the arm")
    domain: Literal["creative"] = "creative"
    scoring: CreativeScoring
    judge: JudgeSpec | None = None
    second_judge: JudgeSpec | None = None
    labelled_pairs: InputPath | None = None
    ratings: InputPath | None = None


def creative_prompts_spec(config: CreativeConfig) -> CreativePromptsSpec:
    """Slice of the domain's config that determines its prompts."""
    return CreativePromptsSpec(source=config.source, prompts=config.sampling.prompts, seed=config.sampling.seed)


def creative_score_spec(config: CreativeConfig, arm: str, seed: int) -> CreativeScoreSpec:
    """Slice of the domain's config that determines the scores of one sample set.

    Raises: InputError where the model of a local judge is missing.
    """
    return CreativeScoreSpec(
        arm=arm,
        seed=seed,
        scoring=config.scoring,
        judge=judge_spec(config.judge) if config.judge else None,
        second_judge=judge_spec(config.second_judge) if config.second_judge else None,
        labelled_pairs=config.labelled_pairs,
        ratings=config.ratings,
    )
