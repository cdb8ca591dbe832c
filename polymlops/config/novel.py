"""Phase 4: who picks, how many candidates are shown, how intervals are drawn, and what its stage may see."""

from __future__ import annotations

from pydantic import Field, model_validator

from polymlops.config.rewards import HeuristicRewardConfig
from polymlops.config.section import Section


class SelectorSettings(Section):
    """The selectors that have no column of their own."""

    heuristic: HeuristicRewardConfig = HeuristicRewardConfig()
    temperature: float = Field(0.1, gt=0, description="of the noisy human's softmax, in the unit of quality")
    patience: float = Field(
        0.7, gt=0, le=1, description="chance that a reader in a hurry goes on to the next candidate; 1 reads all"
    )
    subsets: int = Field(2000, ge=10, description="subsets of a prompt's candidates; above, as many drawn at random")
    seed: int = Field(0, ge=0, description="of the drawn subsets")


class NovelConfig(Section):
    """The novel metrics of every domain; resamples are those of `evaluation`."""

    threshold: float = Field(0.01, gt=0, lt=1, description="gain in pass@k below which a candidate adds nothing")
    selectors: SelectorSettings = SelectorSettings()


class NovelSpec(Section):
    """Novel metrics of one domain or several: arms in the order of the tables, from stored scores and samples."""

    arms: tuple[str, ...] = Field(min_length=1, description="expected; one without scores is named in the notes")
    ks: tuple[int, ...] = Field((1, 2, 5, 10), min_length=1, description="candidates shown")
    shown: int = Field(10, ge=2, description="candidates shown where arms are ranked and compared; one of `ks`")
    threshold: float = Field(0.01, gt=0, lt=1, description="gain in pass@k below which a candidate adds nothing")
    selectors: SelectorSettings = SelectorSettings()
    decodings: dict[str, str] = Field(
        {}, description="how each label was sampled, as text; labels with different texts are refused"
    )
    missing: tuple[str, ...] = Field((), description="what was not there to be measured, in words, for the notes")
    resamples: int = Field(10_000, ge=100, description="bootstrap resamples and sign flips")
    seed: int = Field(0, ge=0, description="of the bootstrap")

    @model_validator(mode="after")
    def _sensible(self) -> NovelSpec:
        if self.shown not in self.ks:
            raise ValueError(f"shown {self.shown} is none of the ks {self.ks}: add it there")
        return self
