"""What the flows return: small frozen records of references, never the things themselves."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from polymlops.refs import DatasetRef, ModelRef, Reference, ReportRef, RewardRef, SampleSetRef, ScoresRef
from polymlops.tracking.records import RegisteredVersion, TableRow


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
    analyses: dict[str, ReportRef] = Field(description="adapters, mechanism, theory")

    def labelled(self) -> dict[str, Reference]:
        """Every reference under one flat name."""
        analyses = {f"analysis/{name}": ref for name, ref in self.analyses.items()}
        return {**super().labelled(), "reward": self.reward, **analyses}


class DomainArtifacts(Result):
    """One domain's samples and scores by `arm/seed`; its report, unless that is another phase's."""

    samples: dict[str, SampleSetRef]
    scores: dict[str, ScoresRef]
    report: ReportRef | None = None


class GeneralizationArtifacts(Result):
    """Everything that phase 3 made or stood on; adapters by `arm/seed`, domains by name: social, code, creative.

    `cross_domain` has a report for each arm that gains are measured from.
    """

    dataset: DatasetRef
    base: ModelRef
    adapters: dict[str, ModelRef]
    domains: dict[str, DomainArtifacts]
    cross_domain: dict[str, ReportRef]

    def labelled(self) -> dict[str, Reference]:
        """Every reference under one flat name."""
        flat: dict[str, Reference] = {"dataset": self.dataset, "base": self.base}
        flat |= {f"adapter/{label}": ref for label, ref in self.adapters.items()}
        for name, domain in self.domains.items():
            flat |= {f"{name}/samples/{label}": ref for label, ref in domain.samples.items()}
            flat |= {f"{name}/scores/{label}": ref for label, ref in domain.scores.items()}
            flat |= {f"{name}/report": domain.report} if domain.report is not None else {}
        return flat | {f"cross_domain/over_{base}": ref for base, ref in self.cross_domain.items()}

    def reports(self) -> dict[str, ReportRef]:
        """What people read: by domain, then over domains."""
        found = {name: domain.report for name, domain in self.domains.items() if domain.report is not None}
        return found | {f"cross_domain over {base}": ref for base, ref in self.cross_domain.items()}


class StoredSets(Result):
    """Samples and scores of one domain that phases 1 to 3 left, by `arm/seed`; what lacks either is in neither."""

    samples: dict[str, SampleSetRef]
    scores: dict[str, ScoresRef]


class StoredResults(Result):
    """What phase 4 stands on; `missing` says what phases 1 to 3 did not leave."""

    dataset: DatasetRef
    base: ModelRef
    reward: RewardRef | None
    domains: dict[str, StoredSets]
    missing: tuple[str, ...] = ()

    def missing_in(self, domain: str) -> list[str]:
        """What is missing of one domain."""
        return [reason.removeprefix(f"{domain}: ") for reason in self.missing if reason.startswith(f"{domain}: ")]


class NovelArtifacts(Result):
    """Everything that phase 4 made: social scores by the reward model, by `arm/seed`; a report by domain."""

    dataset: DatasetRef
    scores: dict[str, ScoresRef]
    reports: dict[str, ReportRef]

    def labelled(self) -> dict[str, Reference]:
        """Every reference under one flat name."""
        flat: dict[str, Reference] = {"dataset": self.dataset}
        flat |= {f"novel/{domain}": ref for domain, ref in self.reports.items()}
        return flat | {f"scores/{label}": ref for label, ref in self.scores.items()}


class PhaseResults(Result):
    """A phase: its table, and where to look."""

    parent_run_id: str = Field(description="MLflow run of the roadmap")
    table: tuple[TableRow, ...]
    folder: Path = Field(description="figures and tables, on this machine")


class DomainResults(Result):
    """A domain: its table, and where to look."""

    table: tuple[TableRow, ...]
    folder: Path = Field(description="figures and tables, on this machine")


class CoreResults(PhaseResults):
    """Phase 1."""

    artifacts: CoreArtifacts


class RewardResults(Result):
    """The reward model, without the phase that uses it."""

    parent_run_id: str = Field(description="MLflow run")
    dataset: DatasetRef
    base: ModelRef
    reward: RewardRef
    folder: Path = Field(description="the model and its report, on this machine")


class DepthResults(PhaseResults):
    """Phase 2."""

    artifacts: DepthArtifacts
    models: tuple[RegisteredVersion, ...] = Field(description="versions in the model registry, one a GRPO arm")


class GeneralizationResults(Result):
    """Phase 3: a table and a folder for each domain that it reports, and folders of the analyses over domains."""

    parent_run_id: str = Field(description="MLflow run of the roadmap")
    artifacts: GeneralizationArtifacts
    domains: dict[str, DomainResults]
    cross_domain: dict[str, Path] = Field(description="figures and tables, by the arm that gains are measured from")


class NovelResults(PhaseResults):
    """Phase 4; `table` has every domain, as `domain/metric`."""

    artifacts: NovelArtifacts
    page: Path = Field(description="the report, one HTML file")
    page_artifact: str = Field(description="its path among the artifacts of the roadmap's run")
    verdict: tuple[str, ...] = Field(description="what it says first")
    missing: tuple[str, ...] = Field(description="what phases 1 to 3 did not leave")


class RoadmapResults(Result):
    """The phases of a roadmap that ran."""

    parent_run_id: str = Field(description="MLflow run of the roadmap")
    core: CoreResults
    depth: DepthResults | None = Field(description="none where no arm is trained by GRPO")
    generalization: GeneralizationResults
    novel: NovelResults


class ChampionResults(Result):
    """What the registry serves, on fresh prompts."""

    parent_run_id: str = Field(description="MLflow run")
    world: int = Field(description="seed of the world that the prompts are from")
    scores: dict[str, ScoresRef] = Field(description="by URI of the model version")
