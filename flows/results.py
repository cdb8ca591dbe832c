"""What the flows return: small frozen records of references, never the things themselves."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from polymlops.refs import DatasetRef, ModelRef, Reference, ReportRef, RewardRef, SampleSetRef, ScoresRef
from polymlops.tracking.registry import RegisteredVersion
from polymlops.tracking.tables import TableRow


class Result(BaseModel):
    """Base of the records: immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Foundations(Result):
    """What every phase stands on; adapters by `arm/seed`."""

    dataset: DatasetRef
    base: ModelRef
    adapters: dict[str, ModelRef]


class CoreArtifacts(Foundations):
    """Everything that phase 1 made, by `arm/seed` where there are several."""

    samples: dict[str, SampleSetRef]
    scores: dict[str, ScoresRef]
    report: ReportRef

    def labelled(self) -> dict[str, Reference]:
        """Every reference under one flat name."""
        flat: dict[str, Reference] = {"dataset": self.dataset, "base": self.base, "report": self.report}
        flat |= {f"adapter/{label}": ref for label, ref in self.adapters.items()}
        flat |= {f"samples/{label}": ref for label, ref in self.samples.items()}
        return flat | {f"scores/{label}": ref for label, ref in self.scores.items()}


class DepthArtifacts(CoreArtifacts):
    """Everything that phase 2 made or stood on; its adapters are those of SFT and of GRPO."""

    reward: RewardRef

    def labelled(self) -> dict[str, Reference]:
        """Every reference under one flat name."""
        return {**super().labelled(), "reward": self.reward}


class DomainArtifacts(Result):
    """One domain's samples, scores and report, by `arm/seed` where there are several."""

    samples: dict[str, SampleSetRef]
    scores: dict[str, ScoresRef]
    report: ReportRef


class GeneralizationArtifacts(Result):
    """Everything that phase 3 made or stood on; adapters by `arm/seed`."""

    dataset: DatasetRef
    base: ModelRef
    adapters: dict[str, ModelRef]
    code: DomainArtifacts

    def labelled(self) -> dict[str, Reference]:
        """Every reference under one flat name."""
        flat: dict[str, Reference] = {"dataset": self.dataset, "base": self.base, "code/report": self.code.report}
        flat |= {f"adapter/{label}": ref for label, ref in self.adapters.items()}
        flat |= {f"code/samples/{label}": ref for label, ref in self.code.samples.items()}
        return flat | {f"code/scores/{label}": ref for label, ref in self.code.scores.items()}


class PhaseResults(Result):
    """A phase: its table, and where to look."""

    parent_run_id: str = Field(description="MLflow run of the roadmap")
    table: tuple[TableRow, ...]
    folder: Path = Field(description="figures and tables, on this machine")


class CoreResults(PhaseResults):
    """Phase 1."""

    artifacts: CoreArtifacts


class DepthResults(PhaseResults):
    """Phase 2."""

    artifacts: DepthArtifacts
    models: tuple[RegisteredVersion, ...] = Field(description="versions in the model registry, one a GRPO arm")


class GeneralizationResults(PhaseResults):
    """Phase 3."""

    artifacts: GeneralizationArtifacts


class RoadmapResults(Result):
    """The phases of a roadmap that ran."""

    parent_run_id: str = Field(description="MLflow run of the roadmap")
    core: CoreResults
    depth: DepthResults | None = Field(description="none where no arm is trained by GRPO")
    generalization: GeneralizationResults
