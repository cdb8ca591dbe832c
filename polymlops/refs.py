"""References: what stages hand to each other instead of files. Frozen, small, JSON."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Reference(BaseModel):
    """An artifact folder of one MLflow run, named by its content."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str = Field(description="MLflow run that made it")
    uri: str = Field(description="artifact URI of the folder")
    digest: str = Field(description="sha256 over the relative paths and contents of its files")


class DatasetRef(Reference):
    """Splits as parquet, with the truth of the embedded world beside them."""

    kind: Literal["dataset"] = "dataset"


class PromptsRef(Reference):
    """Prompts that every arm answers, in the order of their choice."""

    kind: Literal["prompts"] = "prompts"


class ModelRef(Reference):
    """A base model with its tokenizer and encoder, or an adapter."""

    kind: Literal["model"] = "model"


class RewardRef(Reference):
    """A reward model with its validation report."""

    kind: Literal["reward"] = "reward"


class SampleSetRef(Reference):
    """n candidates for every prompt from one arm under one decoding."""

    kind: Literal["sample_set"] = "sample_set"


class ScoresRef(Reference):
    """One row a candidate, beside a sample set."""

    kind: Literal["scores"] = "scores"


class ReportRef(Reference):
    """Figures and tables."""

    kind: Literal["report"] = "report"


AnyRef = Annotated[
    DatasetRef | PromptsRef | ModelRef | RewardRef | SampleSetRef | ScoresRef | ReportRef, Field(discriminator="kind")
]
