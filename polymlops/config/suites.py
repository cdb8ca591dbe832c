"""Suites of programming problems: where they come from, which of their problems, and how a model is asked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from polymlops.config.input_files import InputPath
from polymlops.config.section import Section

PromptFormat = Literal["base", "chat", "turn"]
WorldSplit = Literal["train", "validation", "test"]
MbppSplit = Literal["prompt", "test", "validation", "train", "all"]
# A branch or tag may move, and a result with it: only a full commit is taken.
Revision = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
HubId = Annotated[str, StringConstraints(pattern=r"^[\w.-]+/[\w.-]+$")]

HUMANEVAL_REVISION = "7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544"
MBPP_REVISION = "4bb6404fdc6cacfda99d4ac4205087b89d32030c"


class SuiteSection(Section):
    """What every suite says."""

    format: PromptFormat = Field(
        "base",
        description="`base`: text to be continued; `chat`: a user's message that asks for a fenced block; "
        "`turn`: the prompt alone as a user's message",
    )


class WorldSuiteConfig(SuiteSection):
    """The embedded world's tiny programs: offline, no files; splits differ in the parameters of every family."""

    kind: Literal["world"] = "world"
    format: PromptFormat = Field("turn", description="as for the other suites; the embedded model was taught `turn`")
    seed: int = Field(0, ge=0, description="seed of the order, the examples and the test arguments")
    split: WorldSplit = Field("test", description="parameters of no split are in another, whatever the seed")
    count: int | None = Field(None, ge=1, description="problems, the first of the seed's order; none for all")


class HumanEvalConfig(SuiteSection):
    """HumanEval's 164 problems: a local file, a folder in the Hub's layout, or the Hub at a commit."""

    kind: Literal["humaneval"] = "humaneval"
    path: InputPath | None = Field(
        None, description="jsonl, jsonl.gz, or a folder that `datasets` loads; none for the Hub"
    )
    hub: HubId = Field("openai/openai_humaneval", description="used where there is no path")
    revision: Revision = Field(HUMANEVAL_REVISION, description="commit of the Hub's repository")


class MbppConfig(SuiteSection):
    """MBPP, by its official splits: task ids 1-10 prompt, 11-510 test, 511-600 validation, 601-974 train."""

    kind: Literal["mbpp"] = "mbpp"
    variant: Literal["full", "sanitized"] = Field("full", description="974 problems, or the 427 checked by hand")
    split: MbppSplit = Field("test", description="`prompt` holds the few-shot examples of the paper")
    shots: int = Field(3, ge=0, le=3, description="solved examples before a `base` prompt: tasks 2, 3 and 4")
    path: InputPath | None = Field(
        None, description="jsonl or JSON, or a folder that `datasets` loads; none for the Hub"
    )
    hub: HubId = Field("google-research-datasets/mbpp", description="used where there is no path")
    revision: Revision = Field(MBPP_REVISION, description="commit of the Hub's repository")


class FileSuiteConfig(SuiteSection):
    """Anyone's problems in HumanEval's schema: task_id, prompt, entry_point, canonical_solution, test."""

    kind: Literal["file"] = "file"
    path: InputPath | None = Field(None, description="jsonl, jsonl.gz, or a folder that `datasets` loads")
    hub: HubId | None = Field(None, description="repository on the Hub; instead of path")
    revision: Revision | None = Field(None, description="its commit")

    @model_validator(mode="after")
    def _one_place(self) -> FileSuiteConfig:
        if (self.path is None) == (self.hub is None):
            raise ValueError("a suite of kind 'file' needs either path or hub")
        if (self.hub is None) != (self.revision is None):
            raise ValueError("hub and revision go together: name the commit of the repository")
        return self


SuiteConfig = Annotated[WorldSuiteConfig | HumanEvalConfig | MbppConfig | FileSuiteConfig, Field(discriminator="kind")]
