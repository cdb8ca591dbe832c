"""What the flows return: small frozen records of references, never the things themselves."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from polymlops.refs import DatasetRef, ModelRef, Reference, ReportRef, SampleSetRef, ScoresRef
from polymlops.tracking.tables import TableRow


class Result(BaseModel):
    """Base of the records: immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CoreArtifacts(Result):
    """Everything that phase 1 made, by `arm/seed` where there are several."""

    dataset: DatasetRef
    base: ModelRef
    adapters: dict[str, ModelRef]
    samples: dict[str, SampleSetRef]
    scores: dict[str, ScoresRef]
    report: ReportRef

    def labelled(self) -> dict[str, Reference]:
        """Every reference under one flat name."""
        flat: dict[str, Reference] = {"dataset": self.dataset, "base": self.base, "report": self.report}
        flat |= {f"adapter/{label}": ref for label, ref in self.adapters.items()}
        flat |= {f"samples/{label}": ref for label, ref in self.samples.items()}
        return flat | {f"scores/{label}": ref for label, ref in self.scores.items()}


class CoreResults(Result):
    """Phase 1: its artifacts, its table, and the MLflow run to look at."""

    parent_run_id: str = Field(description="MLflow run of the roadmap")
    artifacts: CoreArtifacts
    table: tuple[TableRow, ...]
    folder: Path = Field(description="figures and tables, on this machine")


class RoadmapResults(Result):
    """The phases of a roadmap that ran."""

    parent_run_id: str = Field(description="MLflow run of the roadmap")
    core: CoreResults
